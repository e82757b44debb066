// Zip archives whose members are stored as they are, as torch.save() writes them.
// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#pragma once

#include <cstddef>
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

}  // namespace convoy
