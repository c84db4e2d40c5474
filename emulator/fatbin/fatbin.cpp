#include "fatbin/fatbin.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fmt/format.h>
#include <zstd.h>

namespace emu {

namespace {

// What nvcc 12.8 to 13.0 write; the format is not documented, so each value that is relied on is checked.
constexpr std::uint32_t wrapper_magic = 0x466243b1;
constexpr std::uint32_t region_magic = 0xba55ed50;
constexpr std::uint16_t region_version = 1;

struct Wrapper {
  std::uint32_t magic, version;
  const void* data;
  const void* more;
};

struct RegionHeader {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t header_bytes;
  std::uint64_t payload_bytes;
};
static_assert(sizeof(RegionHeader) == 16);

enum class EntryKind : std::uint16_t { ptx = 1, machine_code = 2 };

constexpr std::uint64_t flag_arch_suffix = 0x100000;
constexpr std::uint64_t flag_family_suffix = 0x200000;
constexpr std::uint64_t flag_zstd = 0x8000;
constexpr std::uint64_t flags_other_compression = 0x3000;

struct EntryHeader {
  EntryKind kind;
  std::uint16_t version;
  std::uint32_t header_bytes;
  std::uint64_t padded_bytes;
  std::uint32_t compressed_bytes;
  std::uint32_t reserved0;
  std::uint16_t minor, major;
  std::uint32_t arch;
  std::uint32_t reserved1[2];
  std::uint64_t flags;
  std::uint64_t reserved2;
  std::uint64_t raw_bytes;
};
static_assert(sizeof(EntryHeader) == 64);

// Far above any real module (CUTLASS's largest are some 20 MB), so that a damaged size does not exhaust memory.
constexpr std::uint64_t max_ptx_bytes = std::uint64_t(1) << 30;

std::string decompress(std::span<const std::byte> payload, const EntryHeader& header) {
  if (header.compressed_bytes > payload.size())
    throw FatbinError("the fat binary's compressed PTX reaches beyond its entry");
  if (header.raw_bytes > max_ptx_bytes) throw FatbinError("the fat binary announces more than 1 GiB of PTX");
  // The frame knows its size too: memory is taken only for what both agree on.
  const unsigned long long announced = ZSTD_getFrameContentSize(payload.data(), header.compressed_bytes);
  if (announced == ZSTD_CONTENTSIZE_ERROR) throw FatbinError("the fat binary's PTX is marked as zstd, but is not");
  if (announced != header.raw_bytes)
    throw FatbinError("the fat binary's header and its zstd frame disagree about the size of the PTX");
  std::string text(header.raw_bytes, '\0');
  const std::size_t size = ZSTD_decompress(text.data(), text.size(), payload.data(), header.compressed_bytes);
  if (ZSTD_isError(size))
    throw FatbinError(fmt::format("the fat binary's PTX cannot be decompressed: {}", ZSTD_getErrorName(size)));
  text.resize(size);
  return text;
}

std::string read_ptx_text(std::span<const std::byte> payload, const EntryHeader& header) {
  std::string text;
  if (header.flags & flag_zstd) {
    text = decompress(payload, header);
  } else if (header.flags & flags_other_compression) {
    throw FatbinError(
        "the fat binary's PTX is compressed in another way than zstd (a toolkit before 12.8?); "
        "compile with --compress-mode=none");
  } else {
    text.assign(reinterpret_cast<const char*>(payload.data()), payload.size());
  }
  // The text ends at its terminator; what follows is padding.
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

char suffix_of(std::uint64_t flags) {
  if (flags & flag_arch_suffix) return 'a';
  if (flags & flag_family_suffix) return 'f';
  return 0;
}

std::string arch_name(const char* prefix, int arch, char suffix) {
  return suffix ? fmt::format("{}_{}{}", prefix, arch, suffix) : fmt::format("{}_{}", prefix, arch);
}

template <class Header> Header read_header(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(Header)) throw FatbinError("the fat binary ends within a header");
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  return header;
}

RegionHeader read_region_header(std::span<const std::byte> bytes) {
  auto header = read_header<RegionHeader>(bytes);
  if (header.magic != region_magic) throw FatbinError("the image is not a fat binary");
  if (header.version != region_version || header.header_bytes < sizeof(RegionHeader))
    throw FatbinError(fmt::format("fat binaries of version {} are not understood", header.version));
  return header;
}

/// Reads one entry and returns how many bytes it takes.
std::size_t read_entry(std::span<const std::byte> bytes, Fatbin& fatbin) {
  auto header = read_header<EntryHeader>(bytes);
  if (header.header_bytes < sizeof(EntryHeader) || header.header_bytes > bytes.size() ||
      header.padded_bytes > bytes.size() - header.header_bytes)
    throw FatbinError("an entry of the fat binary reaches beyond its end");
  if (header.arch > 10000)
    throw FatbinError(fmt::format("the fat binary names architecture {}, which none is", header.arch));
  auto payload = bytes.subspan(header.header_bytes, header.padded_bytes);
  const int arch = int(header.arch);
  const char suffix = suffix_of(header.flags);
  switch (header.kind) {
    case EntryKind::ptx: fatbin.ptx.push_back({arch, suffix, read_ptx_text(payload, header)}); break;
    case EntryKind::machine_code: fatbin.machine_code.push_back(arch_name("sm", arch, suffix)); break;
    // Other kinds (link-time IR) cannot be executed; that the PTX is missing is said when a kernel is asked for.
    default: fatbin.machine_code.push_back(fmt::format("an entry of kind {}", int(header.kind)));
  }
  return header.header_bytes + header.padded_bytes;
}

}  // namespace

std::vector<const PtxImage*> Fatbin::for_hopper() const {
  // Plain PTX runs on its architecture and every later one, PTX with a suffix only on its own (or family).
  auto rank = [](const PtxImage& image) {
    if (image.arch > 90 || (image.suffix && image.arch != 90)) return -1;
    return image.arch * 2 + (image.suffix ? 1 : 0);
  };
  int best = -1;
  for (const PtxImage& image : ptx) best = std::max(best, rank(image));
  std::vector<const PtxImage*> images;
  for (const PtxImage& image : ptx)
    if (best >= 0 && rank(image) == best) images.push_back(&image);
  return images;
}

std::string Fatbin::why_no_ptx() const {
  std::vector<std::string> held = machine_code;
  for (const PtxImage& image : ptx) held.push_back("PTX for " + arch_name("compute", image.arch, image.suffix));
  return fmt::format(
      "the fat binary holds no PTX that compute capability 9.0 can run, but {}; the emulator executes PTX: compile "
      "with "
      "-gencode arch=compute_90a,code=[sm_90a,compute_90a] (code=sm_90a alone embeds none)",
      held.empty() ? "nothing at all" : fmt::format("{}", fmt::join(held, ", ")));
}

bool is_fatbin(const void* image) {
  std::uint32_t magic;
  std::memcpy(&magic, image, sizeof magic);
  return magic == region_magic;
}

bool is_fatbin_wrapper(const void* image) {
  std::uint32_t magic;
  std::memcpy(&magic, image, sizeof magic);
  return magic == wrapper_magic;
}

Fatbin read_fatbin(std::span<const std::byte> bytes) {
  const RegionHeader region = read_region_header(bytes);
  if (region.header_bytes > bytes.size() || region.payload_bytes > bytes.size() - region.header_bytes)
    throw FatbinError("the fat binary is shorter than its header says");
  Fatbin fatbin;
  auto entries = bytes.subspan(region.header_bytes, region.payload_bytes);
  while (!entries.empty()) entries = entries.subspan(read_entry(entries, fatbin));
  return fatbin;
}

Fatbin read_fatbin(const void* image) {
  const auto* bytes = static_cast<const std::byte*>(image);
  const RegionHeader region = read_region_header({bytes, sizeof(RegionHeader)});
  return read_fatbin(std::span(bytes, region.header_bytes + region.payload_bytes));
}

Fatbin read_fatbin_wrapper(const void* wrapper) {
  Wrapper fields;
  std::memcpy(&fields, wrapper, sizeof fields);
  if (fields.magic != wrapper_magic || !fields.data)
    throw FatbinError("the program registered something else than a fat binary");
  return read_fatbin(fields.data);
}

}  // namespace emu
