// Zip archives, as torch.save() and NumPy's savez() write them.
// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "src/io/shared_bytes.h"

namespace convoy {

/// Whether the bytes begin as an archive does.
bool is_zip(std::span<const std::byte> bytes);

/// The members by their names, as parts of `bytes`. Throws Error naming `name` and what is wrong for anything
/// truncated, inconsistent, altered, encrypted or compressed.
std::map<std::string, SharedBytes> stored_members(const SharedBytes& bytes, const std::string& name);

/// The same of an archive whose members may be compressed: of each no more than the bytes that `most` says,
/// of which the checksum is then not asked. Memory grows with what the archive really holds.
std::map<std::string, SharedBytes> inflated_members(
    const SharedBytes& bytes, const std::string& name,
    const std::function<std::uint64_t(const std::string& member)>& most);

}  // namespace convoy
