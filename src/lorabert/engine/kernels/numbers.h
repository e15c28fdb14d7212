// Sixteen numbers at once, and the two types that tensors hold them in. Compilers split vectors where registers are shorter.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

typedef float vec __attribute__((vector_size(64)));
typedef int32_t ints __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

struct bf16 {
    uint16_t bits;
};

constexpr long WIDTH = 16;

static inline long whole(long count) { return (count + WIDTH - 1) / WIDTH * WIDTH; }

static inline vec all(float value) { return value - vec{}; }

#ifdef __AVX512F__
static inline vec wide(halves h) { return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)h), 16); }
#else
static inline vec wide(halves h) { return (vec)(__builtin_convertvector(h, words) << 16); }
#endif

// Round to nearest, ties to even, as torch does; what is no number stays none.
static inline halves narrow(vec v) {
#ifdef __AVX512BF16__
    return (halves)_mm512_cvtneps_pbh((__m512)v);
#else
    words bits = (words)v;
    words rounded = bits + 0x7fff + ((bits >> 16) & 1);
    rounded = v == v ? rounded : (bits | 0x400000);
    return __builtin_convertvector(rounded >> 16, halves);
#endif
}

static inline vec load(const float* from) {
    vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline vec load(const bf16* from) {
    halves h;
    memcpy(&h, from, sizeof h);
    return wide(h);
}

static inline void store(float* to, vec v) { memcpy(to, &v, sizeof v); }

static inline void store(bf16* to, vec v) {
    halves h = narrow(v);
    memcpy(to, &h, sizeof h);
}

// The first `count` of sixteen, zeros after them.
template <class T>
static inline vec load_some(const T* from, long count) {
    T held[WIDTH] = {};
    memcpy(held, from, count * sizeof(T));
    return load(held);
}

template <class T>
static inline void store_some(T* to, vec v, long count) {
    T held[WIDTH];
    store(held, v);
    memcpy(to, held, count * sizeof(T));
}

#if defined(__AVX512BW__) && defined(__AVX512VL__)
static inline vec load_some(const float* from, long count) { return (vec)_mm512_maskz_loadu_ps((1 << count) - 1, from); }
static inline vec load_some(const bf16* from, long count) { return wide((halves)_mm256_maskz_loadu_epi16((1 << count) - 1, from)); }
static inline void store_some(float* to, vec v, long count) { _mm512_mask_storeu_ps(to, (1 << count) - 1, (__m512)v); }
static inline void store_some(bf16* to, vec v, long count) {
    _mm256_mask_storeu_epi16(to, (1 << count) - 1, (__m256i)narrow(v));
}
#endif

template <class T>
static inline vec load(const T* from, long count) {
    return count >= WIDTH ? load(from) : load_some(from, count);
}

template <class T>
static inline void store(T* to, vec v, long count) {
    count >= WIDTH ? store(to, v) : store_some(to, v, count);
}

#ifdef __AVX512F__
static inline float total(vec v) { return _mm512_reduce_add_ps((__m512)v); }
static inline float largest(vec v) { return _mm512_reduce_max_ps((__m512)v); }
#else
static inline float total(vec v) {
    float sum = 0;
    for (int lane = 0; lane < WIDTH; lane++) sum += v[lane];
    return sum;
}
static inline float largest(vec v) {
    float most = v[0];
    for (int lane = 1; lane < WIDTH; lane++) most = v[lane] > most ? v[lane] : most;
    return most;
}
#endif

// v in the first `count` lanes, another number after them.
static inline vec first_lanes(vec v, long count, float after = 0) {
    const ints lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return lanes < (int)(count < WIDTH ? count : WIDTH) ? v : all(after);
}

static inline vec larger(vec a, vec b) { return a > b ? a : b; }

// e^x = 2^n e^r with |r| <= ln 2 / 2 and a polynomial for e^r (Cephes expf, Moshier 1989); 2e-7 of the value. Below -87 as at -87.
static inline vec exponential(vec x) {
    x = x < -87.0f ? all(-87.0f) : x;
    x = x > 88.0f ? all(88.0f) : x;
    // Adding 1.5 * 2^23 leaves the nearest whole number in the lowest bits.
    vec shifted = x * 1.44269504f + 12582912.0f;
    vec n = shifted - 12582912.0f;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (vec)((ints)p + ((ints)shifted << 23));
}
