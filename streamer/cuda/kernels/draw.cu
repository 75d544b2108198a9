// From pictures in device memory to a network's input: place, resample, colour, normalise, order. One launch a batch.
//
// A thread makes one pixel of one picture's input (grid z is the picture): it alone writes that pixel's three values,
// and what it reads nobody writes during the launch. So there is nothing to race for, and no thread waits for another.
// Threads beside each other write values beside each other; what differs between pictures is the same for all threads
// of a block. This text is compiled by NVRTC, by nvcc, and by the host's compiler (tests/host_kernels.py): it includes
// nothing.

struct DrawJob {  // as `_JOB` in draw.py
    const unsigned char* first;   // Y, or packed pixels
    const unsigned char* second;  // UV
    int first_pitch, second_pitch;  // bytes from row to row
    int frame_h, frame_w, size_h, size_w, top, left;  // px, as pixels/fit.py: Placement
    int pixels;  // 0: nv12, 1: p010, 2: packed
    int unused;
    float first_step_y, first_step_x, second_step_y, second_step_x;  // samples of a plane to one pixel of the input
    float weights[12];  // (3, 4) for (Y, U, V, 1); levels of 0..255
};
static_assert(sizeof(DrawJob) == 120, "draw.py writes 120 bytes");

namespace drawing {

enum Pixels { NV12, P010, PACKED };
enum Dtype { FLOAT32, FLOAT16, UINT8 };

struct Plane {
    const unsigned char* start;
    int pitch, height, width;  // bytes; samples
    float step_y, step_x;
};

__device__ __forceinline__ float level_of(const unsigned char* sample) { return __ldg(sample); }
// The 10 bits are the upper ones: 1/256 brings them to levels of 0..255 with their fraction.
__device__ __forceinline__ float level_of(const unsigned short* sample) { return __ldg(sample) * (1.0f / 256.0f); }

__device__ __forceinline__ int within(int index, int count) { return min(max(index, 0), count - 1); }

// Where pixel `index` lies between two samples: centres are at halves, edges are repeated, as cv2.resize does it.
struct Between {
    int low, high;
    float part;
    __device__ __forceinline__ Between(int index, float step, int count) {
        const float at = (static_cast<float>(index) + 0.5f) * step - 0.5f;
        const float below = floorf(at);
        part = at - below;
        low = within(static_cast<int>(below), count);
        high = within(static_cast<int>(below) + 1, count);
    }
};

template <typename Sample, int CHANNELS>
__device__ __forceinline__ void take_between(const Plane& plane, int y, int x, float* levels) {
    const Between row(y, plane.step_y, plane.height), column(x, plane.step_x, plane.width);
    const Sample* above = reinterpret_cast<const Sample*>(plane.start + static_cast<long long>(row.low) * plane.pitch);
    const Sample* below = reinterpret_cast<const Sample*>(plane.start + static_cast<long long>(row.high) * plane.pitch);
    for (int c = 0; c < CHANNELS; ++c) {
        const int left = column.low * CHANNELS + c, right = column.high * CHANNELS + c;
        const float up_left = level_of(above + left), up_right = level_of(above + right);
        const float down_left = level_of(below + left), down_right = level_of(below + right);
        const float up = up_left + (up_right - up_left) * column.part;
        const float down = down_left + (down_right - down_left) * column.part;
        levels[c] = up + (down - up) * row.part;
    }
}

// The mean of all samples that become this pixel, those at the edge by their share, as cv2.INTER_AREA does it.
template <typename Sample, int CHANNELS>
__device__ __forceinline__ void take_mean(const Plane& plane, int y, int x, float* levels) {
    const float top = static_cast<float>(y) * plane.step_y, left = static_cast<float>(x) * plane.step_x;
    const float bottom = fminf(top + plane.step_y, static_cast<float>(plane.height));
    const float right = fminf(left + plane.step_x, static_cast<float>(plane.width));
    float sums[CHANNELS] = {}, area = 0.0f;
    for (int j = static_cast<int>(top); static_cast<float>(j) < bottom; ++j) {
        const float tall = fminf(static_cast<float>(j + 1), bottom) - fmaxf(static_cast<float>(j), top);
        const Sample* samples = reinterpret_cast<const Sample*>(plane.start + static_cast<long long>(j) * plane.pitch);
        for (int i = static_cast<int>(left); static_cast<float>(i) < right; ++i) {
            const float share = tall * (fminf(static_cast<float>(i + 1), right) - fmaxf(static_cast<float>(i), left));
            area += share;
            for (int c = 0; c < CHANNELS; ++c) sums[c] += share * level_of(samples + i * CHANNELS + c);
        }
    }
    for (int c = 0; c < CHANNELS; ++c) levels[c] = sums[c] / area;
}

template <typename Sample, int CHANNELS>
__device__ __forceinline__ void take(const Plane& plane, int y, int x, int area, float* levels) {
    if (area && plane.step_y >= 1.0f && plane.step_x >= 1.0f) {
        take_mean<Sample, CHANNELS>(plane, y, x, levels);
    } else {
        take_between<Sample, CHANNELS>(plane, y, x, levels);
    }
}

template <typename Sample>
__device__ __forceinline__ void take_colour(const DrawJob& job, int y, int x, int area, float* levels) {
    const Plane luma = {job.first, job.first_pitch, job.frame_h, job.frame_w, job.first_step_y, job.first_step_x};
    const Plane chroma = {job.second, job.second_pitch, (job.frame_h + 1) / 2, (job.frame_w + 1) / 2,
                          job.second_step_y, job.second_step_x};
    float yuv[3];
    take<Sample, 1>(luma, y, x, area, yuv);
    take<Sample, 2>(chroma, y, x, area, yuv + 1);
    for (int c = 0; c < 3; ++c) {
        const float* w = job.weights + 4 * c;
        levels[c] = w[0] * yuv[0] + w[1] * yuv[1] + w[2] * yuv[2] + w[3];
    }
}

__device__ __forceinline__ void take_pixel(const DrawJob& job, int y, int x, int area, float* levels) {
    if (job.pixels == PACKED) {
        const Plane packed = {job.first, job.first_pitch, job.frame_h, job.frame_w, job.first_step_y, job.first_step_x};
        take<unsigned char, 3>(packed, y, x, area, levels);
    } else if (job.pixels == P010) {
        take_colour<unsigned short>(job, y, x, area, levels);
    } else {
        take_colour<unsigned char>(job, y, x, area, levels);
    }
    for (int c = 0; c < 3; ++c) levels[c] = fminf(fmaxf(rintf(levels[c]), 0.0f), 255.0f);  // whole, as on the CPU
}

// Round to the nearest half, to even between two. The instruction is written out: its header is not everywhere.
__device__ __forceinline__ unsigned short half_bits(float value) {
#ifdef __CUDACC__
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    return host_half_bits(value);
#endif
}

__device__ __forceinline__ void store(void* destination, int dtype, long long index, float value) {
    if (dtype == FLOAT32) {
        static_cast<float*>(destination)[index] = value;
    } else if (dtype == FLOAT16) {
        static_cast<unsigned short*>(destination)[index] = half_bits(value);
    } else {
        static_cast<unsigned char*>(destination)[index] =
            static_cast<unsigned char>(fminf(fmaxf(rintf(value), 0.0f), 255.0f));
    }
}

}  // namespace drawing

// Draw jobs[z] into picture z of `destination`: (B, 3, height, width), or (B, height, width, 3) if `nhwc`.
// value = level * gain + offset for each channel, level a whole one of 0..255, `pad` beside the frame.
extern "C" __global__ void __launch_bounds__(256) draw(
    const DrawJob* __restrict__ jobs, void* __restrict__ destination, int height, int width, int nhwc, int dtype,
    int area, float pad, float gain_0, float gain_1, float gain_2, float offset_0, float offset_1, float offset_2) {
    const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= width || y >= height) return;
    const DrawJob& job = jobs[blockIdx.z];
    const int row = y - job.top, column = x - job.left;  // of the resized frame
    float levels[3] = {pad, pad, pad};
    if (row >= 0 && row < job.size_h && column >= 0 && column < job.size_w) {
        drawing::take_pixel(job, row, column, area, levels);
    }
    const long long pixels = static_cast<long long>(height) * width;
    const long long pixel = static_cast<long long>(y) * width + x;
    const long long start = 3 * pixels * blockIdx.z + (nhwc ? 3 * pixel : pixel);
    const long long next = nhwc ? 1 : pixels;  // from a channel's value to that of the next
    drawing::store(destination, dtype, start, levels[0] * gain_0 + offset_0);
    drawing::store(destination, dtype, start + next, levels[1] * gain_1 + offset_1);
    drawing::store(destination, dtype, start + 2 * next, levels[2] * gain_2 + offset_2);
}
