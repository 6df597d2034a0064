// EROFS on disk, as far as keg writes and reads it: what is not compressed. All numbers are
// little-endian. Of Linux's erofs_fs.h the facts; the names are ours.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

namespace erofs {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t superblock_at = 1024;
constexpr uint32_t magic = 0xe0f5e1e2;
// Compatible features: who does not know one may overlook it.
constexpr uint32_t has_checksum = 1, has_times = 2;
// Those that must be known.
constexpr uint32_t zero_padding = 1, compression = 2, chunked_files = 4, device_table = 8,
                   packed_tails = 0x10, fragments = 0x20, long_prefixes = 0x40, wide_blocks = 0x80;

struct Superblock {
    uint32_t magic, checksum, compatible;
    uint8_t block_bits, extra_slots;
    uint16_t root;
    uint64_t inodes;
    int64_t epoch;
    uint32_t epoch_nanoseconds, blocks, inodes_block, shared_block;
    std::array<uint8_t, 16> uuid, volume;
    uint32_t incompatible;
    uint16_t algorithms, devices, device_slot;
    uint8_t directory_bits, prefixes;
    uint32_t prefixes_at;
    uint64_t packed;
    uint8_t filter, sharing_prefix, reserved1[2];
    uint32_t build_time;
    uint64_t wide_root, reserved2;
};
static_assert(sizeof(Superblock) == 128);

struct Device {
    std::array<char, 64> tag;
    uint32_t blocks, first_block;  // of all devices' blocks one behind the other
    uint16_t blocks_high, first_block_high;
    uint8_t reserved[52];
};
static_assert(sizeof(Device) == 128);

// What an inode's first number says: bit 0 whether it is extended, then how its content lies.
enum class Layout : uint16_t {
    plain = 0,
    compressed_full = 1,
    tail_inline = 2,
    compressed = 3,
    chunks = 4
};
constexpr uint16_t extended = 1;

struct Inode {  // extended
    uint16_t format, attribute_words, mode, block_high;
    uint64_t size;
    uint32_t block;  // or a device's number, or how large the chunks are
    uint32_t number, uid, gid;
    int64_t seconds;
    uint32_t nanoseconds, links;
    uint8_t reserved[16];
};
static_assert(sizeof(Inode) == 64);

struct CompactInode {
    uint16_t format, attribute_words, mode, links;
    uint32_t size, seconds, block, number;
    uint16_t uid, gid;
    uint32_t reserved;
};
static_assert(sizeof(CompactInode) == 32);

constexpr uint64_t inode_slot = 32;  // what an inode's position is a multiple of
constexpr uint32_t no_block = 0xffffffff;
constexpr uint16_t chunk_bits_mask = 0x1f, chunk_entries_are_wide = 0x20;

struct Chunk {
    uint16_t block_high, device;  // from 1 on; 0 is the index itself
    uint32_t block;               // within that device; no_block: a hole
};
static_assert(sizeof(Chunk) == 8);

struct [[gnu::packed]] DirectoryEntry {
    uint64_t inode;
    uint16_t name_at;
    uint8_t kind, reserved;
};
static_assert(sizeof(DirectoryEntry) == 12);

struct AttributesHeader {
    uint32_t filter;
    uint8_t shared;
    uint8_t reserved[7];
};
static_assert(sizeof(AttributesHeader) == 12);

struct AttributeEntry {  // then the name without its prefix, then the value, filled up to 4
    uint8_t name_size, prefix;
    uint16_t value_size;
};
static_assert(sizeof(AttributeEntry) == 4);

struct Prefix {
    uint8_t number;
    std::string_view text;
    bool is_whole;  // nothing follows it
};
constexpr Prefix prefixes[] = {{1, "user.", false},
                               {2, "system.posix_acl_access", true},
                               {3, "system.posix_acl_default", true},
                               {4, "trusted.", false},
                               {6, "security.", false}};

// The number that a directory has for an inode's kind.
constexpr uint8_t kind_number(uint32_t mode) {
    switch (mode & 0170000) {
        case 0100000: return 1;
        case 0040000: return 2;
        case 0020000: return 3;
        case 0060000: return 4;
        case 0010000: return 5;
        case 0140000: return 6;
        case 0120000: return 7;
    }
    return 0;
}

constexpr uint64_t up_to(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

// CRC-32C, without the inversion at its end.
constexpr uint32_t checksum(std::string_view bytes) {
    uint32_t sum = 0xffffffff;
    for (const char c : bytes) {
        sum ^= uint8_t(c);
        for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ ((sum & 1) != 0 ? 0x82f63b78 : 0);
    }
    return sum;
}

}  // namespace erofs
