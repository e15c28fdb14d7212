// LayerNorm(residual + dropout(u)) and its gradients, one pass over memory each.
#include "numbers.h"

namespace {

template <class T>
void forward(const T* u, const T* residual, const T* keep, float scale, const float* weight, const float* bias, float eps, long rows,
             long width, T* summed, T* y, float* mean, float* inverse, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long i = 0; i < rows; i++) {
        const T *own = u + i * width, *other = residual ? residual + i * width : nullptr, *mask = keep ? keep + i * width : nullptr;
        T* held = summed + i * width;
        vec first = {}, second = {};
        for (long c = 0; c < width; c += WIDTH) {
            long left = width - c;
            vec v = load(own + c, left);
            if (mask) v = v * load(mask + c, left) * scale;
            if (other) v += load(other + c, left);
            store(held + c, v, left);
            first += load(held + c, left);  // the statistics are of what is kept, rounded as it is
        }
        float middle = total(first) / width;
        for (long c = 0; c < width; c += WIDTH) {
            vec away = first_lanes(load(held + c, width - c) - middle, width - c);
            second += away * away;
        }
        float times = 1 / std::sqrt(total(second) / width + eps);
        mean[i] = middle, inverse[i] = times;
        for (long c = 0; c < width; c += WIDTH) {
            long left = width - c;
            store(y + i * width + c, (load(held + c, left) - middle) * times * load(weight + c, left) + load(bias + c, left), left);
        }
    }
}

// With n = (x - mean) * inverse and h = g * weight: dx = inverse * (h - mean(h) - n mean(h n)).
template <class T>
void backward(const T* g, const T* summed, const float* mean, const float* inverse, const float* weight, const T* keep, float scale,
              long rows, long width, T* d_summed, T* d_u, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long i = 0; i < rows; i++) {
        const T *given = g + i * width, *held = summed + i * width;
        vec plain = {}, along = {};
        for (long c = 0; c < width; c += WIDTH) {
            long left = width - c;
            vec h = load(given + c, left) * load(weight + c, left);
            plain += h;
            along += h * ((load(held + c, left) - mean[i]) * inverse[i]);
        }
        float flat = total(plain) / width, tilt = total(along) / width;
        for (long c = 0; c < width; c += WIDTH) {
            long left = width - c;
            vec h = load(given + c, left) * load(weight + c, left), n = (load(held + c, left) - mean[i]) * inverse[i];
            vec d = (h - flat - n * tilt) * inverse[i];
            store(d_summed + i * width + c, d, left);
            if (d_u) store(d_u + i * width + c, d * load(keep + i * width + c, left) * scale, left);
        }
    }
}

// dW = sum over rows of g n, db = sum of g.
template <class T>
void parameters(const T* g, const T* summed, const float* mean, const float* inverse, long rows, long width, float* d_weight,
                float* d_bias, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long c = 0; c < width; c += WIDTH) {
        long left = width - c;
        vec weight = {}, bias = {};
        for (long i = 0; i < rows; i++) {
            vec given = load(g + i * width + c, left);
            weight += given * ((load(summed + i * width + c, left) - mean[i]) * inverse[i]);
            bias += given;
        }
        store(d_weight + c, weight, left);
        store(d_bias + c, bias, left);
    }
}

template <class T>
void columns(const T* g, long rows, long width, float* sums, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long c = 0; c < width; c += WIDTH) {
        vec sum = {};
        for (long i = 0; i < rows; i++) sum += load(g + i * width + c, width - c);
        store(sums + c, sum, width - c);
    }
}

}  // namespace

#define EXPORT(T)                                                                                                              \
    extern "C" void norm_forward_##T(const T* u, const T* residual, const T* keep, float scale, const float* weight,           \
                                     const float* bias, float eps, long rows, long width, T* summed, T* y, float* mean,        \
                                     float* inverse, int threads) {                                                            \
        forward<T>(u, residual, keep, scale, weight, bias, eps, rows, width, summed, y, mean, inverse, threads);               \
    }                                                                                                                          \
    extern "C" void norm_backward_##T(const T* g, const T* summed, const float* mean, const float* inverse, const float* weight, \
                                      const T* keep, float scale, long rows, long width, T* d_summed, T* d_u, int threads) {   \
        backward<T>(g, summed, mean, inverse, weight, keep, scale, rows, width, d_summed, d_u, threads);                       \
    }                                                                                                                          \
    extern "C" void norm_parameters_##T(const T* g, const T* summed, const float* mean, const float* inverse, long rows,       \
                                        long width, float* d_weight, float* d_bias, int threads) {                             \
        parameters<T>(g, summed, mean, inverse, rows, width, d_weight, d_bias, threads);                                       \
    }                                                                                                                          \
    extern "C" void column_sums_##T(const T* g, long rows, long width, float* sums, int threads) {                             \
        columns<T>(g, rows, width, sums, threads);                                                                             \
    }

EXPORT(float)
EXPORT(bf16)
