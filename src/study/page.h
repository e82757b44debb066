// A study as a page: one HTML file that needs no other.
#pragma once

#include <string>

#include "src/study/results.h"

namespace convoy {

/// index.html: what it was run on, whether engines agree, speeds, scaling, the parts of a step, networks side
/// by side, learning curves and confusion. Sections without results are left out.
std::string study_page(const Study& study, const StudyResults& results);
/// The same figures for programs: study.json.
std::string study_json(const Study& study, const StudyResults& results);
/// Writes index.html, study.json, and each table as tables/NAME.csv and tables/NAME.tex. Throws Error.
void write_study(const Study& study, const StudyResults& results, const std::filesystem::path& folder);

}  // namespace convoy
