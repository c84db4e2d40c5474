// PTX that nvcc wrote: a committed sample, and the kernels of the library where they are built.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "fatbin/fatbin.hpp"
#include "ptx/describe.hpp"
#include "ptx/module.hpp"

namespace emu::ptx {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string sample() { return read(std::filesystem::path(CKL_EMU_PTX_SAMPLES) / "features.ptx"); }

/// The PTX of the library's modules; none where only the emulator is built.
std::vector<std::string> library_modules() {
  std::vector<std::string> texts;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(CKL_EMU_LIBRARY_MODULES, none)) {
    if (entry.path().extension() != ".fatbin") continue;
    const std::string bytes = read(entry.path());
    for (const PtxImage& image : read_fatbin(std::as_bytes(std::span(bytes))).ptx) texts.push_back(image.text);
  }
  return texts;
}

void expect_round_trip(const std::string& text) {
  const Module module = Module::parse(text);
  const std::string described = describe(module);
  const Module again = Module::parse(described);
  EXPECT_EQ(describe(again), described);
  ASSERT_EQ(again.functions.size(), module.functions.size());
  for (const Function& function : module.functions) {
    const Function& other = again.functions[again.find_function(function.name)];
    EXPECT_EQ(other.instructions.size(), function.instructions.size());
    EXPECT_EQ(other.registers.size(), function.registers.size());
    EXPECT_EQ(other.parameter_bytes, function.parameter_bytes);
  }
}

TEST(PtxSamples, RoundTrip) {
  ASSERT_FALSE(sample().empty());
  expect_round_trip(sample());
}

TEST(PtxSamples, RoundTripOfTheLibrary) {
  const auto modules = library_modules();
  if (modules.empty()) GTEST_SKIP() << "the library's kernels are not built";
  for (const std::string& text : modules) expect_round_trip(text);
}

TEST(PtxSamples, WhatTheSampleHolds) {
  const Module module = Module::parse(sample());
  EXPECT_EQ(module.target, "sm_90a");
  const Index memory = module.find_function("_Z6memoryPii");
  ASSERT_NE(memory, no_index);
  const Function& function = module.functions[memory];
  EXPECT_EQ(function.bounds.max_threads[0], 128u);
  EXPECT_EQ(function.bounds.min_ctas_per_sm, 2u);
  EXPECT_EQ(function.local_bytes, 256u);
  EXPECT_TRUE(module.place_of(function.instructions.front()).starts_with("features.cu:"));
  const auto indirect = [](const Function& each) {
    return std::any_of(each.calls.begin(), each.calls.end(),
                       [](const Call& call) { return call.prototype != no_index; });
  };
  EXPECT_TRUE(std::any_of(module.functions.begin(), module.functions.end(), indirect));
  const Index functions = module.find_variable("functions");
  ASSERT_NE(functions, no_index);
  EXPECT_EQ(module.variables[functions].relocations.size(), 2u);
  EXPECT_TRUE(std::any_of(module.locations.begin(), module.locations.end(),
                          [](const Location& location) { return !location.function.empty(); }));
}

/// Forms of compilers newer and older than the sample's: LLVM 20 and later, debug information, variadic functions.
TEST(PtxSamples, FormsOfOtherCompilers) {
  const std::string text = R"(//
// Based on NVVM 21.0.0
//
.version 9.1
.target sm_90a, debug
.address_size 64

	// .globl	k                       // -- Begin function k
.extern .func  (.param .b32 func_retval0) vprintf
(
	.param .b64 vprintf_param_0,
	.param .b64 vprintf_param_1
)
;
.extern .func stop
()
.noreturn
;
.weak .func (.param .align 16 .b8 func_retval0[16]) variadic(
	.param .b32 variadic_param_0,
	.param .align 8 .b8 variadic_vararg[]
)
{
	.reg .b32 	%r<5>;
	mov.b32 	{%r1, %r2}, 0d3FF0000000000000;
	st.param.v4.b32 	[func_retval0], {%r1, %r2, 0, 0f3F800000};
	ret;
                                        // -- End function
}
.common .global .align 4 .b32 tentative;
.visible .entry k(
	.param .u64 .ptr .align 1 k_param_0,
	.param .u64 .ptr .global .align 16 k_param_1,
	.param .align 64 .b8 k_param_2[128]
)
.maxntid 128
.blocksareclusters
.reqntid 128, 1, 1
.reqnctapercluster 2, 1, 1
{
	.local .align 8 .b8 	__local_depot0[16];
	.reg .b64 	%SP;
	.reg .b64 	%SPL;
	.reg .pred 	%p<3>;
	.reg .b32 	%r<10>;
	.reg .b64 	%rd<6>;
	.pragma "enable_smem_spilling";
	.loc	1 4 0                           // t.cu:4:0
$L__func_begin0:
// %bb.0:
	mov.b64 	%SPL, __local_depot0;
	cvta.local.u64 	%SP, %SPL;
	ld.param.b64 	%rd1, [k_param_0];
	.pragma "used_bytes_mask 0xfff";
	ld.global.nc.v4.b32 	{%r1, %r2, %r3, _}, [%rd1];
	add.rn.f32 	%r4, %r1, 0fBF800000;
	$L_brx_0: .branchtargets
		$L__BB0_1,
		$L__BB0_2;
	brx.idx 	%r2, $L_brx_0;
$L__BB0_1:                              // %a
	{ // callseq 0, 0
	.param .b64 param0;
	.param .b64 param1;
	.param .b32 retval0;
	st.param.b64 	[param0], %rd1;
	st.param.b64 	[param1], %SP;
	call.uni (retval0), vprintf, (param0, param1);
	ld.param.b32 	%r5, [retval0];
	} // callseq 0
	{ // callseq 1, 0
	.param .b32 param0;
	.param .align 8 .b8 param1[8];
	.param .align 16 .b8 retval0[16];
	st.param.b32 	[param0], 1;
	call.uni (retval0), variadic, (param0, param1);
	} // callseq 1
	{
	call.uni stop, ();
	}
$L__BB0_2:
	mov.b64 	%rd2, stop;
	{
	prototype_2 : .callprototype () _ () .noreturn;
	call %rd2, (), prototype_2;
	}
	exit;
$L__tmp1:
$L__func_end0:
}
	.file	1 "t.cu"
	.section	.debug_abbrev
	{
.b8 1                                   // Abbreviation Code
.b8 0
	}
	.section	.debug_info
	{
.b32 $L__end-$L__begin
.b64 $L__tmp1
.b32 .debug_abbrev
	}
	.section	.debug_macinfo	{	}
)";
  expect_round_trip(text);
  const Module module = Module::parse(text);
  const Function& k = module.functions[module.find_function("k")];
  EXPECT_TRUE(k.bounds.blocks_are_clusters);
  EXPECT_EQ(k.bounds.max_threads, (std::array<Index, 3>{128, 1, 1}));
  EXPECT_EQ(k.branch_tables[0].targets.size(), 2u);
  EXPECT_EQ(k.calls.size(), 4u);
  EXPECT_TRUE(module.functions[module.find_function("stop")].no_return);
}

TEST(PtxSamples, AreParsedFast) {
  std::string text = sample();
  for (const std::string& module : library_modules())
    if (module.size() > text.size()) text = module;
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    Module::parse(text);
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  const double of_a_megabyte = best * 1e6 / static_cast<double>(text.size());
  RecordProperty("ms_per_megabyte", std::to_string(of_a_megabyte));
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
  EXPECT_LT(of_a_megabyte, 50);
#endif
}

}  // namespace
}  // namespace emu::ptx
