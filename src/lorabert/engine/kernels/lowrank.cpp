// LoRA's part of a linear layer, y += s (x * m) A^T B^T, and its gradients: thin products in fp32 that read x once.
#include <utility>

#include "numbers.h"

namespace {

// Rows of a matrix in which a row begins every `row` numbers.
template <class T>
struct Matrix {
    T* at;
    long row;
};

// Rows of x or g, with a mask on them or none.
template <class T>
struct Masked {
    const T* at;
    long row;
    const T* keep;
    long keep_row;

    vec operator()(long i, long c, long width) const {
        vec v = load(at + i * row + c, width - c);
        return keep ? v * load(keep + i * keep_row + c, width - c) : v;
    }
};

// One row of a transposed copy is one column of a matrix, (rows, columns) to (columns, rows).
std::vector<float> turned(const float* matrix, long rows, long columns) {
    std::vector<float> copy(rows * columns);
    for (long i = 0; i < rows; i++)
        for (long j = 0; j < columns; j++) copy[j * rows + i] = matrix[i * columns + j];
    return copy;
}

// low[i, k] = times * sum over c of x[i, c] m[k, c], for M rows and R of m's.
template <int M, int R, class T>
inline void dots(const Masked<T>& x, long i, const float* m, long width, float times, float* low, long ranks) {
    vec sums[M][R] = {};
    for (long c = 0; c < width; c += WIDTH) {
        vec left[M];
        for (int a = 0; a < M; a++) left[a] = x(i + a, c, width);
        for (int b = 0; b < R; b++) {
            vec right = load(m + b * width + c, width - c);
            for (int a = 0; a < M; a++) sums[a][b] += left[a] * right;
        }
    }
    for (int a = 0; a < M; a++)
        for (int b = 0; b < R; b++) low[(i + a) * ranks + b] = times * total(sums[a][b]);
}

template <int M, class T>
void squeeze_rows(const Masked<T>& x, long i, const float* m, long width, float times, float* low, long ranks) {
    long k = 0;
    for (; k + 8 <= ranks; k += 8) dots<M, 8>(x, i, m + k * width, width, times, low + k, ranks);
    for (; k + 2 <= ranks; k += 2) dots<M, 2>(x, i, m + k * width, width, times, low + k, ranks);
    for (; k < ranks; k++) dots<M, 1>(x, i, m + k * width, width, times, low + k, ranks);
}

// low = times * x m^T, rows begin to end.
template <class T>
void squeeze(const Masked<T>& x, const float* m, long width, float times, float* low, long ranks, long begin, long end) {
    long i = begin;
    for (; i + 2 <= end; i += 2) squeeze_rows<2>(x, i, m, width, times, low, ranks);
    for (; i < end; i++) squeeze_rows<1>(x, i, m, width, times, low, ranks);
}

template <int M, class T>
inline void widen_rows(Matrix<T> y, long i, const float* low, const float* m, long width, float times, long ranks, const T* keep,
                       long keep_row) {
    for (long c = 0; c < width; c += WIDTH) {
        vec sums[M] = {};
        for (long k = 0; k < ranks; k++) {
            vec right = load(m + k * width + c, width - c);
            for (int a = 0; a < M; a++) sums[a] += low[(i + a) * ranks + k] * right;
        }
        for (int a = 0; a < M; a++) {
            T* place = y.at + (i + a) * y.row + c;
            vec kept = keep ? load(keep + (i + a) * keep_row + c, width - c) * times : all(times);
            store(place, load(place, width - c) + sums[a] * kept, width - c);
        }
    }
}

// y += times * low m, under a mask or none, rows begin to end.
template <class T>
void widen(Matrix<T> y, const float* low, const float* m, long width, float times, long ranks, const T* keep, long keep_row,
           long begin, long end) {
    long i = begin;
    for (; i + 4 <= end; i += 4) widen_rows<4>(y, i, low, m, width, times, ranks, keep, keep_row);
    for (; i < end; i++) widen_rows<1>(y, i, low, m, width, times, ranks, keep, keep_row);
}

// sums[k, c] += sum over rows begin to end of low[i, k] x[i, c], for R ranks and two vectors of columns.
template <int R, class T>
inline void gather(const Masked<T>& x, const float* low, long ranks, long c, long width, float* sums, long begin, long end) {
    long left = width - c, right = left > WIDTH ? left - WIDTH : 0;
    vec found[R][2];
    for (int k = 0; k < R; k++) {
        found[k][0] = load(sums + k * width + c, left);
        found[k][1] = right ? load(sums + k * width + c + WIDTH, right) : vec{};
    }
    for (long i = begin; i < end; i++) {
        vec one = x(i, c, width), other = right ? x(i, c + WIDTH, width) : vec{};
        for (int k = 0; k < R; k++) {
            float weight = low[i * ranks + k];
            found[k][0] += weight * one;
            found[k][1] += weight * other;
        }
    }
    for (int k = 0; k < R; k++) {
        store(sums + k * width + c, found[k][0], left);
        if (right) store(sums + k * width + c + WIDTH, found[k][1], right);
    }
}

// sums += low^T x, rows begin to end.
template <class T>
void gather_all(const Masked<T>& x, const float* low, long ranks, long width, float* sums, long begin, long end) {
    for (long c = 0; c < width; c += 2 * WIDTH) {
        long k = 0;
        for (; k + 8 <= ranks; k += 8) gather<8>(x, low + k, ranks, c, width, sums + k * width, begin, end);
        for (; k + 2 <= ranks; k += 2) gather<2>(x, low + k, ranks, c, width, sums + k * width, begin, end);
        for (; k < ranks; k++) gather<1>(x, low + k, ranks, c, width, sums + k * width, begin, end);
    }
}

// Rows that are worked on together: few enough to stay in the fastest cache from one product to the next.
constexpr long STRETCH = 16;

template <class T>
void forward(Masked<T> x, long rows, long in, const float* a, const float* b, long out, long ranks, float times, float* low,
             Matrix<T> y, int threads) {
    std::vector<float> b_turned = turned(b, out, ranks);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long begin = 0; begin < rows; begin += STRETCH) {
        long end = begin + STRETCH < rows ? begin + STRETCH : rows;
        squeeze(x, a, in, 1, low, ranks, begin, end);
        widen(y, low, b_turned.data(), out, times, ranks, (const T*)nullptr, 0, begin, end);
    }
}

// One of many: A and B^T, and where it reads and writes.
struct Part {
    const float *a, *b_turned;
    long ranks, column, out;
};

// Fewer products are done by one thread before others are there.
constexpr long LEAST = 500000;

// The forward of many at once, each on its own rows and columns of y.
template <class T>
void forward_each(const T* x, long x_row, long in, const Part* parts, const long* rows, const float* times, long count, T* y,
                  long y_row, int threads) {
    std::vector<std::pair<long, long>> stretches;
    long work = 0;
    for (long p = 0; p < count; p++) {
        work += (rows[2 * p + 1] - rows[2 * p]) * parts[p].ranks * (in + parts[p].out);
        for (long begin = rows[2 * p]; begin < rows[2 * p + 1]; begin += STRETCH) stretches.push_back({p, begin});
    }
#pragma omp parallel num_threads(work < LEAST ? 1 : threads)
    {
        std::vector<float> low;
#pragma omp for schedule(static)
        for (size_t number = 0; number < stretches.size(); number++) {
            auto [p, begin] = stretches[number];
            const Part& part = parts[p];
            long here = begin + STRETCH < rows[2 * p + 1] ? STRETCH : rows[2 * p + 1] - begin;
            low.resize(STRETCH * part.ranks);
            squeeze(Masked<T>{x + begin * x_row, x_row, nullptr, 0}, part.a, in, 1, low.data(), part.ranks, 0, here);
            widen(Matrix<T>{y + begin * y_row + part.column, y_row}, low.data(), part.b_turned, part.out, times[p], part.ranks,
                  (const T*)nullptr, 0, 0, here);
        }
    }
}

// With v = s g B: dx += (v A) * m, dA = v^T (x * m), dB = s g^T low. Each thread adds up the rows it has.
template <class T>
void backward(Masked<T> g, Masked<T> x, long rows, long in, const float* a, const float* b, long out, long ranks, float times,
              const float* low, Matrix<T> dx, float* d_a, float* d_b, int threads) {
    std::vector<float> b_turned = turned(b, out, ranks), v(rows * ranks), sums(threads * ranks * (in + out));
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int number = 0; number < threads; number++) {
        float *own_a = sums.data() + number * ranks * (in + out), *own_b = own_a + ranks * in;
        long share = whole((rows + threads - 1) / threads), last = (number + 1) * share < rows ? (number + 1) * share : rows;
        for (long begin = number * share; begin < last; begin += STRETCH) {
            long end = begin + STRETCH < last ? begin + STRETCH : last;
            squeeze(g, b_turned.data(), out, times, v.data(), ranks, begin, end);
            gather_all(g, low, ranks, out, own_b, begin, end);
            if (dx.at) widen(dx, v.data(), a, in, 1, ranks, x.keep, x.keep_row, begin, end);
            gather_all(x, v.data(), ranks, in, own_a, begin, end);
        }
    }
    for (int number = 1; number < threads; number++)
        for (long at = 0; at < ranks * (in + out); at++) sums[at] += sums[number * ranks * (in + out) + at];
    memcpy(d_a, sums.data(), ranks * in * sizeof(float));
    for (long k = 0; k < ranks; k++)
        for (long o = 0; o < out; o++) d_b[o * ranks + k] = times * sums[ranks * in + k * out + o];
}

}  // namespace

#define EXPORT(T)                                                                                                            \
    extern "C" void low_rank_forward_##T(const T* x, long x_row, const T* keep, long keep_row, long rows, long in,           \
                                         const float* a, const float* b, long out, long ranks, float times, float* low, T* y, \
                                         long y_row, int threads) {                                                          \
        forward<T>({x, x_row, keep, keep_row}, rows, in, a, b, out, ranks, times, low, {y, y_row}, threads);                 \
    }                                                                                                                        \
    extern "C" void low_ranks_##T(const T* x, long x_row, long in, const Part* parts, const long* rows, const float* times,  \
                                  long count, T* y, long y_row, int threads) {                                               \
        forward_each<T>(x, x_row, in, parts, rows, times, count, y, y_row, threads);                                         \
    }                                                                                                                        \
    extern "C" void low_rank_backward_##T(const T* g, long g_row, const T* x, long x_row, const T* keep, long keep_row,      \
                                          long rows, long in, const float* a, const float* b, long out, long ranks,          \
                                          float times, const float* low, T* dx, long dx_row, float* d_a, float* d_b,         \
                                          int threads) {                                                                     \
        backward<T>({g, g_row, nullptr, 0}, {x, x_row, keep, keep_row}, rows, in, a, b, out, ranks, times, low, {dx, dx_row}, \
                    d_a, d_b, threads);                                                                                      \
    }

EXPORT(float)
EXPORT(bf16)
