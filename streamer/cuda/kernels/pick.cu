// From a detector's whole output to the anchors that reach the floor, in their order. Three kernels, run one after the
// other on one stream: each value is written by one thread of one launch and read by later launches only. So there is
// no race, no atomic, no barrier, and the answer is the same each time. Channel c of anchor a lies at
// c * channel_step + a * anchor_step of its picture. This text includes nothing.

namespace picking {

struct Best {
    float score;
    bool is_number;  // false: one of the classes is NaN, and so is numpy's maximum
};

__device__ __forceinline__ Best best_class(const float* classes, int count, long long step) {
    Best best = {__ldg(classes), true};
    best.is_number = best.score == best.score;
    for (int c = 1; c < count; ++c) {
        const float score = __ldg(classes + c * step);
        best.is_number = best.is_number && score == score;
        best.score = fmaxf(best.score, score);
    }
    return best;
}

}  // namespace picking

// Say of each anchor whether its score reaches the floor: the best class, times the objectness if there is one.
// Grid: x anchors, z pictures. `passed`: (B, anchors).
extern "C" __global__ void __launch_bounds__(128) pick_mark(
    const float* __restrict__ output, unsigned char* __restrict__ passed, int channels, int anchors, int channel_step,
    int anchor_step, int objectness, int first_class, float floor) {
    const int anchor = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (anchor >= anchors) return;
    const long long picture = blockIdx.z;
    const float* row = output + picture * channels * anchors + static_cast<long long>(anchor) * anchor_step;
    const float object = objectness ? __ldg(row + 4ll * channel_step) : 1.0f;
    bool reaches = !objectness || object >= floor;  // NaN reaches nothing
    if (reaches) {
        const float* classes = row + static_cast<long long>(first_class) * channel_step;
        const picking::Best best = picking::best_class(classes, channels - first_class, channel_step);
        reaches = best.is_number && (objectness ? object * best.score : best.score) >= floor;
    }
    passed[picture * anchors + anchor] = reaches ? 1 : 0;
}

// Count those of each tile of `tile` anchors. Grid: x tiles, z pictures. `counts`: (B, tiles).
extern "C" __global__ void __launch_bounds__(128) pick_count(
    const unsigned char* __restrict__ passed, int* __restrict__ counts, int anchors, int tile, int tiles) {
    const int index = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (index >= tiles) return;
    const long long picture = blockIdx.z;
    const int first = index * tile, end = min(first + tile, anchors);
    int count = 0;
    for (int anchor = first; anchor < end; ++anchor) count += __ldg(passed + picture * anchors + anchor);
    counts[picture * tiles + index] = count;
}

// Copy the channels of the first `most` that passed, and 0 where there are fewer; write which they are, -1 where there
// are fewer, and how many there are in all. A thread has one place of the result, and `some` of its channels: those of
// the first group write the rest too. Grid: x places, y groups of channels, z pictures. `picked`: (B, channels, most)
// with `place_step` 1, or (B, most, channels) with `place_step` channels. `indices`: (B, most). `totals`: (B,).
extern "C" __global__ void __launch_bounds__(128) pick_gather(
    const float* __restrict__ output, const unsigned char* __restrict__ passed, const int* __restrict__ counts,
    float* __restrict__ picked, int* __restrict__ indices, int* __restrict__ totals, int channels, int anchors,
    int channel_step, int anchor_step, int tile, int tiles, int most, int place_step, int some) {
    const int place = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (place >= most) return;
    const long long picture = blockIdx.z;
    int before = 0, index = 0;  // how many passed in the tiles before tile `index`
    for (; index < tiles; ++index) {
        const int count = __ldg(counts + picture * tiles + index);
        if (before + count > place) break;
        before += count;
    }
    int anchor = index * tile;
    for (; anchor < anchors; ++anchor) {
        before += __ldg(passed + picture * anchors + anchor);
        if (before > place) break;
    }
    const bool found = index < tiles && anchor < anchors;
    const float* row = output + picture * channels * anchors + static_cast<long long>(anchor) * anchor_step;
    float* target = picked + picture * channels * most + static_cast<long long>(place) * place_step;
    const int first = static_cast<int>(blockIdx.y) * some, end = min(first + some, channels);
    for (int c = first; c < end; ++c) {
        const long long step = place_step == 1 ? most : 1;
        target[c * step] = found ? __ldg(row + static_cast<long long>(c) * channel_step) : 0.0f;
    }
    if (blockIdx.y != 0) return;
    indices[picture * most + place] = found ? anchor : -1;
    if (place == 0) {
        int total = 0;
        for (int t = 0; t < tiles; ++t) total += __ldg(counts + picture * tiles + t);
        totals[picture] = total;
    }
}
