// Pictures of a network and its mistakes, for people to look at.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/shape.h"
#include "src/io/picture.h"
#include "src/model/graph.h"
#include "src/session/session.h"

namespace convoy {

/// Pictures of one size side by side, about as many rows as columns, each pixel as a square of `scale`
/// pixels, with a line between pictures.
Picture contact_sheet(const std::vector<Picture>& pictures, int scale);
/// The first convolution's weight, which sees the image itself; null where it has another number of channels
/// than 1 or 3, or depth.
const Parameter* first_filters(const Graph& graph);
/// A filter (R,S,C) per tile; black and white are the least and the largest of all weights.
Picture filter_picture(const Parameter& filters, std::span<const double> weights);

/// What an image's channels show: colours where there are three, else the first one. Of a volume, the slice
/// in the middle.
Picture image_picture(const FeatureShape& shape, std::span<const std::uint8_t> pixels);

/// Images of which a score is not finite.
std::int64_t count_overflows(const Predictions& predictions);
/// counts (classes,classes): row: what an image is, column: what the network takes it for.
std::vector<std::int64_t> confusion_matrix(const Predictions& predictions);
/// A square per count; the darker, the larger a share of its row it is. The classes' names stand in front of
/// rows and above columns (of more than 200 classes none do). `names`: of the classes, or none: then numbers.
Picture confusion_picture(int classes, std::span<const std::int64_t> counts,
                          const std::vector<std::string>& names);

/// An image that the network takes for something else.
struct Mistake {
  std::int64_t image = 0;  ///< its place among the validation images
  int label = 0, answer = 0;
  double certainty = 0;  ///< probability of the answer
  double of_label = 0;   ///< probability of the label
};
/// Those to whose label it gives the least probability, worst first, at most so many. Where scores overflow,
/// probabilities count as 0.
std::vector<Mistake> worst_mistakes(const Predictions& predictions, std::size_t most);
/// A table in Markdown, in the order of the contact sheet. `names`: of the classes, or none.
std::string list_of(const std::vector<Mistake>& mistakes, const std::vector<std::string>& names);

}  // namespace convoy
