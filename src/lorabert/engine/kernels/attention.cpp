// Self-attention of texts that lie one after the other: each (text, head) by itself, in fp32, without a cell of padding.
#include "numbers.h"

namespace {

// Where the texts lie. Rows are counted in tokens, or in texts where only each text's first token asks.
struct Texts {
    const int64_t* begins;      // first key row of each text
    const int64_t* lengths;     // key rows of each
    const int64_t* asking;      // first query row of each
    const int64_t* kept;        // where each text's dropout mask begins, (heads, height, longest)
    const int64_t* longest;     // columns of that mask
    long count, heads, size;    // texts; heads; numbers a head
    long one;                   // 1 where each text asks once, 0 where every token asks
};

template <int M, int N>
inline void tile(const float* a, long down, long along, const float* b, long b_row, float* c, long c_row, long depth) {
    vec sums[M][N] = {};
    for (long k = 0; k < depth; k++) {
        vec right[N];
        for (int j = 0; j < N; j++) right[j] = load(b + k * b_row + j * WIDTH);
        for (int i = 0; i < M; i++) {
            vec left = all(a[i * down + k * along]);
            for (int j = 0; j < N; j++) sums[i][j] += left * right[j];
        }
    }
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) store(c + i * c_row + j * WIDTH, sums[i][j]);
}

template <int N>
void strip(const float* a, long down, long along, const float* b, long b_row, float* c, long c_row, long rows, long depth) {
    long i = 0;
    for (; i + 6 <= rows; i += 6) tile<6, N>(a + i * down, down, along, b, b_row, c + i * c_row, c_row, depth);
    for (; i + 2 <= rows; i += 2) tile<2, N>(a + i * down, down, along, b, b_row, c + i * c_row, c_row, depth);
    for (; i < rows; i++) tile<1, N>(a + i * down, down, along, b, b_row, c + i * c_row, c_row, depth);
}

// C = A B. A(i, k) stands at a[i * down + k * along], so that A^T needs no copy; rows of B and C are whole vectors.
void product(const float* a, long down, long along, const float* b, long b_row, float* c, long c_row, long rows, long columns,
             long depth) {
    long j = 0;
    for (; j + 2 * WIDTH <= columns; j += 2 * WIDTH) strip<2>(a, down, along, b + j, b_row, c + j, c_row, rows, depth);
    for (; j < columns; j += WIDTH) strip<1>(a, down, along, b + j, b_row, c + j, c_row, rows, depth);
}

// What one (text, head) needs, of a thread that keeps its memory from one to the next.
struct Room {
    std::vector<float> memory;
    float *queries, *keys, *values, *turned, *given, *found, *scores, *changes;

    void take(long asking, long length, long size) {
        long wide_size = whole(size), wide_length = whole(length), rows = asking > length ? asking : length;
        long tall = rows * wide_size, square = asking * wide_length, across = wide_size * wide_length;
        memory.resize(5 * tall + across + 2 * square);
        float* at = memory.data();
        for (float** place : {&queries, &keys, &values, &given, &found}) { *place = at; at += tall; }
        turned = at; at += across;
        scores = at; at += square;
        changes = at;
    }
};

template <class T>
void read(float* to, const T* from, long row, long rows, long size, float times) {
    long wide_size = whole(size);
    for (long i = 0; i < rows; i++)
        for (long c = 0; c < wide_size; c += WIDTH) store(to + i * wide_size + c, load(from + i * row + c, size - c) * times);
}

template <class T>
void write(T* to, long row, const float* from, long rows, long size, float times) {
    long wide_size = whole(size);
    for (long i = 0; i < rows; i++)
        for (long c = 0; c < size; c += WIDTH) store(to + i * row + c, load(from + i * wide_size + c) * times, size - c);
}

// (length, size) as (size, length), whole vectors a row.
void turn(float* to, const float* from, long length, long size) {
    long wide_size = whole(size), wide_length = whole(length);
    for (long c = 0; c < size; c++) {
        for (long j = 0; j < length; j++) to[c * wide_length + j] = from[j * wide_size + c];
        for (long j = length; j < wide_length; j++) to[c * wide_length + j] = 0;
    }
}

// Scores of one query to the softmax's probabilities; kept of it: the largest score, and 1 / sum(exp(score - largest)).
void soften(float* scores, long length, float* kept) {
    long wide_length = whole(length);
    vec most = all(-INFINITY), sum = {};
    for (long j = 0; j < wide_length; j += WIDTH) most = larger(first_lanes(load(scores + j), length - j, -INFINITY), most);
    float top = largest(most);
    for (long j = 0; j < wide_length; j += WIDTH) {
        vec e = first_lanes(exponential(load(scores + j) - top), length - j);
        store(scores + j, e);
        sum += e;
    }
    float share = 1 / total(sum);
    for (long j = 0; j < wide_length; j += WIDTH) store(scores + j, load(scores + j) * share);
    kept[0] = top, kept[1] = share;
}

// Of one (text, head): its rows, and where it reads and writes.
struct Place {
    long text, head, begin, length, ask, asking, kept;

    Place(const Texts& texts, long number) {
        text = number / texts.heads, head = number % texts.heads;
        begin = texts.begins[text], length = texts.lengths[text];
        ask = texts.asking[text], asking = texts.one ? 1 : length;
        kept = texts.kept[text] + head * (texts.one ? 1 : texts.longest[text]) * texts.longest[text];
    }
};

// Queries, divided by the root of their size, keys, values and scores of one (text, head).
template <class T>
void score(Room& room, const Place& at, const T* queries, long query_row, const T* keys, const T* values, long row, long size) {
    long wide_size = whole(size), wide_length = whole(at.length), column = at.head * size;
    room.take(at.asking, at.length, size);
    read(room.queries, queries + at.ask * query_row + column, query_row, at.asking, size, 1 / std::sqrt((float)size));
    read(room.keys, keys + at.begin * row + column, row, at.length, size, 1);
    read(room.values, values + at.begin * row + column, row, at.length, size, 1);
    turn(room.turned, room.keys, at.length, size);
    product(room.queries, wide_size, 1, room.turned, wide_length, room.scores, wide_length, at.asking, wide_length, size);
}

template <class T>
void forward(const Texts& texts, const T* queries, long query_row, const T* keys, const T* values, long row, const T* keep,
             float scale, T* out, float* softened, int threads) {
    long size = texts.size, wide_size = whole(size), hidden = texts.heads * size;
#pragma omp parallel num_threads(threads)
    {
        static thread_local Room room;
#pragma omp for schedule(dynamic, 4)
        for (long number = 0; number < texts.count * texts.heads; number++) {
            Place at(texts, number);
            long length = at.length, wide_length = whole(length), column = at.head * size;
            score(room, at, queries, query_row, keys, values, row, size);
            for (long i = 0; i < at.asking; i++) {
                float* scores = room.scores + i * wide_length;
                soften(scores, length, softened + 2 * ((at.ask + i) * texts.heads + at.head));
                if (!keep) continue;
                const T* mask = keep + at.kept + i * texts.longest[at.text];
                for (long j = 0; j < length; j += WIDTH) store(scores + j, load(scores + j) * load(mask + j, length - j));
            }
            product(room.scores, wide_length, 1, room.values, wide_size, room.found, wide_size, at.asking, wide_size, length);
            write(out + at.ask * hidden + column, hidden, room.found, at.asking, size, scale);
        }
    }
}

// With P = softmax(S), D = P * m: dP = g V^T * m, dS = P (dP - rowsum(P dP)), dQ = dS K, dK = dS^T Q, dV = D^T g.
template <class T>
void backward(const Texts& texts, const T* queries, long query_row, const T* keys, const T* values, long row, const T* keep,
              float scale, const T* g, const float* softened, T* d_queries, T* d_keys, T* d_values, int threads) {
    long size = texts.size, wide_size = whole(size), hidden = texts.heads * size;
    float root = 1 / std::sqrt((float)size);
#pragma omp parallel num_threads(threads)
    {
        static thread_local Room room;
#pragma omp for schedule(dynamic, 4)
        for (long number = 0; number < texts.count * texts.heads; number++) {
            Place at(texts, number);
            long length = at.length, wide_length = whole(length), column = at.head * size;
            score(room, at, queries, query_row, keys, values, row, size);
            read(room.given, g + at.ask * hidden + column, hidden, at.asking, size, scale);
            turn(room.turned, room.values, length, size);
            product(room.given, wide_size, 1, room.turned, wide_length, room.changes, wide_length, at.asking, wide_length, size);
            for (long i = 0; i < at.asking; i++) {
                float *scores = room.scores + i * wide_length, *changes = room.changes + i * wide_length;
                const float* kept_of = softened + 2 * ((at.ask + i) * texts.heads + at.head);
                const T* mask = keep ? keep + at.kept + i * texts.longest[at.text] : nullptr;
                vec both = {};
                for (long j = 0; j < length; j += WIDTH) {
                    vec p = exponential(load(scores + j) - kept_of[0]) * kept_of[1], kept = mask ? load(mask + j, length - j) : all(1);
                    vec dp = first_lanes(load(changes + j) * kept, length - j);
                    both += p * dp;
                    store(scores + j, p);
                    store(changes + j, dp);
                }
                float mean = total(both);
                for (long j = 0; j < length; j += WIDTH) {
                    vec p = load(scores + j);
                    store(changes + j, p * (load(changes + j) - mean));
                    if (mask) store(scores + j, p * load(mask + j, length - j));
                }
            }
            product(room.changes, wide_length, 1, room.keys, wide_size, room.found, wide_size, at.asking, wide_size, length);
            write(d_queries + at.ask * query_row + column, query_row, room.found, at.asking, size, root);
            product(room.changes, 1, wide_length, room.queries, wide_size, room.found, wide_size, length, wide_size, at.asking);
            write(d_keys + at.begin * row + column, row, room.found, length, size, 1);
            product(room.scores, 1, wide_length, room.given, wide_size, room.found, wide_size, length, wide_size, at.asking);
            write(d_values + at.begin * row + column, row, room.found, length, size, 1);
        }
    }
}

}  // namespace

#define TEXTS                                                                                                              \
    const int64_t *begins, const int64_t *lengths, const int64_t *asking, const int64_t *kept, const int64_t *longest, long count, \
        long heads, long size, long one
#define EXPORT(T)                                                                                                          \
    extern "C" void attention_forward_##T(TEXTS, const T* queries, long query_row, const T* keys, const T* values, long row, \
                                          const T* keep, float scale, T* out, float* softened, int threads) {              \
        forward<T>({begins, lengths, asking, kept, longest, count, heads, size, one}, queries, query_row, keys, values, row, \
                   keep, scale, out, softened, threads);                                                                       \
    }                                                                                                                      \
    extern "C" void attention_backward_##T(TEXTS, const T* queries, long query_row, const T* keys, const T* values, long row, \
                                           const T* keep, float scale, const T* g, const float* softened, T* d_queries,    \
                                           T* d_keys, T* d_values, int threads) {                                          \
        backward<T>({begins, lengths, asking, kept, longest, count, heads, size, one}, queries, query_row, keys, values, row, \
                    keep, scale, g, softened, d_queries, d_keys, d_values, threads);                                           \
    }

EXPORT(float)
EXPORT(bf16)
