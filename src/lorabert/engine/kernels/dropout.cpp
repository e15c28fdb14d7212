// Dropout masks from the words of PCG64 DXSM (O'Neill 2014), the stream that numpy.random.PCG64DXSM gives, any part of it.
#include "numbers.h"

namespace {

typedef unsigned __int128 wide_int;

constexpr uint64_t MULTIPLIER = 0xda942042e4dd58b5;
constexpr long LANES = 4, CHUNK = 64;

// n steps of the generator's state are one: s becomes times * s + plus (Brown 1994).
struct Jump {
    wide_int times = 1, plus = 0;

    Jump(wide_int increment, uint64_t steps) {
        wide_int factor = MULTIPLIER;
        for (; steps; steps >>= 1) {
            if (steps & 1) times *= factor, plus = plus * factor + increment;
            increment *= factor + 1;
            factor *= factor;
        }
    }

    wide_int operator()(wide_int state) const { return times * state + plus; }
};

inline uint64_t word(wide_int state) {
    uint64_t high = state >> 64, low = (uint64_t)state | 1;
    high ^= high >> 32;
    high *= MULTIPLIER;
    high ^= high >> 48;
    return high * low;
}

inline void keep_some(float* keep, const int16_t* bits, int16_t least, long count) {
    for (long i = 0; i < count; i++) keep[i] = bits[i] >= least ? 1.0f : 0.0f;
}

inline void keep_some(bf16* keep, const int16_t* bits, int16_t least, long count) {
    for (long i = 0; i < count; i++) keep[i].bits = bits[i] >= least ? 0x3f80 : 0;
}

// Several states a few words apart run side by side: one alone would wait for its own products.
template <class T>
void part(T* keep, long count, int16_t least, wide_int state, wide_int increment) {
    const Jump one(increment, 1), several(increment, LANES);
    wide_int states[LANES];
    for (long lane = 0; lane < LANES; lane++) states[lane] = state, state = one(state);
    uint64_t drawn[CHUNK];
    int16_t bits[4 * CHUNK];
    for (long begin = 0; begin < count; begin += 4 * CHUNK) {
        for (long at = 0; at < CHUNK; at += LANES)
            for (long lane = 0; lane < LANES; lane++) {
                drawn[at + lane] = word(states[lane]);
                states[lane] = several(states[lane]);
            }
        memcpy(bits, drawn, sizeof bits);
        keep_some(keep + begin, bits, least, count - begin < 4 * CHUNK ? count - begin : 4 * CHUNK);
    }
}

template <class T>
void draw(T* keep, long count, int least, const uint64_t* seeded, uint64_t position, int threads) {
    wide_int state = (wide_int)seeded[0] << 64 | seeded[1], increment = (wide_int)seeded[2] << 64 | seeded[3];
    long chunks = (count + 4 * CHUNK - 1) / (4 * CHUNK), share = (chunks + threads - 1) / threads * CHUNK;
#pragma omp parallel for num_threads(threads) if (count > 16384)
    for (int number = 0; number < threads; number++) {
        long begin = 4 * share * number, end = begin + 4 * share < count ? begin + 4 * share : count;
        if (begin < end) part(keep + begin, end - begin, least, Jump(increment, position + share * number)(state), increment);
    }
}

}  // namespace

extern "C" void dropout_float(float* keep, long count, int least, const uint64_t* seeded, uint64_t position, int threads) {
    draw(keep, count, least, seeded, position, threads);
}
extern "C" void dropout_bf16(bf16* keep, long count, int least, const uint64_t* seeded, uint64_t position, int threads) {
    draw(keep, count, least, seeded, position, threads);
}
