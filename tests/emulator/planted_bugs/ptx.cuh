#pragma once

// What the kernels of the corpus say in PTX.
#include <cstdint>

#include <cuda_runtime.h>

#define PTX __device__ __forceinline__

PTX uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

// ---- mbarriers ----

PTX void mbarrier_init(uint64_t* b, uint32_t count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(count) : "memory");
}
PTX void fence_mbarrier_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
PTX void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
PTX void mbarrier_arrive(uint64_t* b) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
PTX void mbarrier_arrive_twice(uint64_t* b) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0], 2;" ::"r"(shared_address(b)) : "memory");
}
PTX void mbarrier_arrive_expect(uint64_t* b, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes)
               : "memory");
}
/// Arrives at the barrier with the same offset in another CTA of the cluster.
PTX void mbarrier_arrive_remote(uint64_t* b, uint32_t rank) {
  asm volatile(
      "{ .reg .b32 remote; mapa.shared::cluster.u32 remote, %0, %1; "
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote]; }" ::"r"(shared_address(b)),
      "r"(rank)
      : "memory");
}
PTX void mbarrier_wait(uint64_t* b, uint32_t parity) {
  asm volatile("{ .reg .pred p; again: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @!p bra again; }" ::"r"(
                   shared_address(b)),
               "r"(parity)
               : "memory");
}

// ---- Copies ----

PTX void bulk_load(void* to, const void* from, uint32_t bytes, uint64_t* b) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(to)),
               "l"(from), "r"(bytes), "r"(shared_address(b))
               : "memory");
}
PTX void bulk_store(void* to, const void* from, uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(shared_address(from)),
               "r"(bytes)
               : "memory");
}
PTX void bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
PTX void bulk_wait_read() { asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }
PTX void cp_async(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
}
PTX void cp_async_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// ---- Barriers ----

PTX void named_sync(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
PTX void named_arrive(int barrier, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
PTX void cluster_sync() { asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory"); }
PTX uint32_t cluster_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
PTX void remote_store(uint32_t* p, uint32_t rank, uint32_t value) {
  asm volatile(
      "{ .reg .b32 remote; mapa.shared::cluster.u32 remote, %0, %1; st.shared::cluster.u32 [remote], %2; }" ::"r"(
          shared_address(p)),
      "r"(rank), "r"(value)
      : "memory");
}
PTX uint32_t remote_load(const uint32_t* p, uint32_t rank) {
  uint32_t value;
  asm volatile("{ .reg .b32 remote; mapa.shared::cluster.u32 remote, %1, %2; ld.shared::cluster.u32 %0, [remote]; }"
               : "=r"(value)
               : "r"(shared_address(p)), "r"(rank)
               : "memory");
  return value;
}

/// To the same offsets in another CTA of the cluster, whose mbarrier is signalled.
PTX void store_async(uint32_t* p, uint32_t rank, uint32_t value, uint64_t* b) {
  asm volatile(
      "{ .reg .b32 to, bar; mapa.shared::cluster.u32 to, %0, %1; mapa.shared::cluster.u32 bar, %3, %1; "
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [to], %2, [bar]; }" ::"r"(shared_address(p)),
      "r"(rank), "r"(value), "r"(shared_address(b))
      : "memory");
}
PTX void copy_to_peer(void* to, uint32_t rank, const void* from, uint32_t bytes, uint64_t* b) {
  asm volatile(
      "{ .reg .b32 to, bar; mapa.shared::cluster.u32 to, %0, %1; mapa.shared::cluster.u32 bar, %4, %1; "
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [to], [%2], %3, [bar]; }" ::"r"(
          shared_address(to)),
      "r"(rank), "r"(shared_address(from)), "r"(bytes), "r"(shared_address(b))
      : "memory");
}

// ---- wgmma: m64n8k16, bf16, operands K-major without a swizzle ----

PTX void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
PTX void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
PTX void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); }
/// Core matrices of 8 rows of 16 bytes: the two of K are 128 bytes apart, those of M or N 256.
PTX uint64_t descriptor(const void* p) {
  return uint64_t(shared_address(p) >> 4 & 0x3fff) | uint64_t(128 >> 4) << 16 | uint64_t(256 >> 4) << 32;
}
PTX void wgmma(float (&d)[4], const void* a, const void* b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, 1, 1, 1, 0, 0;"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "l"(descriptor(a)), "l"(descriptor(b))
               : "memory");
}
PTX void wgmma(float (&d)[4], uint32_t (&a)[4], const void* b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, {%4, %5, %6, %7}, %8, 1, 1, 1, 0;"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptor(b))
               : "memory");
}
