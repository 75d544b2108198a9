// What the kernels of streamer/cuda/kernels take from CUDA, for the host's compiler: a block is a loop over threads.
//
// Kernels that use shared memory, barriers or atomics are not compiled: none of the names is here.
#pragma once

#include <math.h>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

struct uint3 {
    unsigned int x, y, z;
};

static thread_local uint3 threadIdx, blockIdx, blockDim, gridDim;

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)

static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }

template <typename T>
static inline T __ldg(const T* address) {
    return *address;
}

// What `cvt.rn.f16.f32` does: the nearest half, the even one between two; too large becomes infinite, NaN stays NaN.
static inline unsigned short host_half_bits(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const unsigned short sign = static_cast<unsigned short>(bits >> 16 & 0x8000u);
    const std::uint32_t size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) return 0x7fffu;  // NaN, as the GPU spells it
    if (size >= 0x477ff000u) return static_cast<unsigned short>(sign | 0x7c00u);  // 65520 and above
    const int exponent = static_cast<int>(size >> 23) - 127;
    if (exponent < -25) return sign;
    const std::uint32_t mantissa = (size & 0x7fffffu) | 0x800000u;
    const int lost = exponent < -14 ? -1 - exponent : 13;  // bits that a half has no room for
    std::uint32_t kept = mantissa >> lost;
    const std::uint32_t rest = mantissa & ((1u << lost) - 1u), middle = 1u << (lost - 1);
    if (rest > middle || (rest == middle && (kept & 1u) != 0)) ++kept;
    const std::uint32_t above = exponent < -14 ? 0u : static_cast<std::uint32_t>(exponent + 14) << 10;
    return static_cast<unsigned short>(sign | (above + kept));
}

// A kernel's parameters as letters: p for an address, i for int, f for float. Another type does not compile.
template <typename T>
constexpr char letter() {
    static_assert(std::is_pointer<T>::value || std::is_same<T, int>::value || std::is_same<T, float>::value, "");
    return std::is_pointer<T>::value ? 'p' : std::is_same<T, int>::value ? 'i' : 'f';
}

template <typename... Parameters>
static void host_parameters(void (*)(Parameters...), char* letters) {
    const char all[] = {letter<Parameters>()..., '\0'};
    std::memcpy(letters, all, sizeof all);
}

template <typename... Parameters, std::size_t... Index>
static void host_call(void (*kernel)(Parameters...), void** arguments, std::index_sequence<Index...>) {
    kernel(*static_cast<Parameters*>(arguments[Index])...);
}

// Run all threads of all blocks, one after the other, the last first if `backwards`.
template <typename... Parameters>
static void host_launch(void (*kernel)(Parameters...), const unsigned int* grid, const unsigned int* block,
                        void** arguments, int backwards) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    const unsigned long long threads = 1ull * block[0] * block[1] * block[2];
    const unsigned long long all = threads * grid[0] * grid[1] * grid[2];
    for (unsigned long long number = 0; number < all; ++number) {
        const unsigned long long now = backwards ? all - 1 - number : number;
        const unsigned int b = static_cast<unsigned int>(now / threads), t = static_cast<unsigned int>(now % threads);
        blockIdx = {b % grid[0], b / grid[0] % grid[1], b / grid[0] / grid[1]};
        threadIdx = {t % block[0], t / block[0] % block[1], t / block[0] / block[1]};
        host_call(kernel, arguments, std::index_sequence_for<Parameters...>{});
    }
}

#define HOST_KERNEL(name)                                                                                \
    extern "C" void host_##name(const unsigned int* grid, const unsigned int* block, void** arguments,   \
                                int backwards) {                                                         \
        host_launch(name, grid, block, arguments, backwards);                                            \
    }                                                                                                    \
    extern "C" void parameters_##name(char* letters) { host_parameters(name, letters); }
