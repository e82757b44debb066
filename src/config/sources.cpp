#include "src/config/sources.h"

namespace convoy {

Codec<Source> source_name() {
  std::vector<Word<Source>> words;
  for (const SourceFacts& facts : source_list) words.push_back({facts.name, facts.source});
  return choice<Source>(std::move(words));
}

std::string source_help() {
  std::vector<std::string> parts;
  for (const SourceFacts& facts : source_list)
    if (*facts.help != '\0') parts.push_back(fmt::format("{}: {}", facts.name, facts.help));
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string names_of_sources(bool (*is)(Source), const char* between) {
  std::vector<const char*> names;
  for (const SourceFacts& facts : source_list)
    if (is(facts.source)) names.push_back(facts.name);
  return fmt::format("{}", fmt::join(names, between));
}

}  // namespace convoy
