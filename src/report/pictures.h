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

/// An image as a picture: in colour if it has three channels, else its first channel. Of a volume, the middle
/// slice.
Picture image_picture(const FeatureShape& shape, std::span<const std::uint8_t> pixels);

/// Images of which a score is not finite.
std::int64_t count_overflows(const Predictions& predictions);
/// One square per count of a confusion_matrix(); the larger its share of the row, the darker it is. The
/// classes' names are in front of rows and above columns, unless there are more than 200 classes. `names`: of
/// the classes; if empty, numbers are drawn.
Picture confusion_picture(int classes, std::span<const std::int64_t> counts,
                          const std::vector<std::string>& names);

/// An image that the network classifies wrongly.
struct Mistake {
  std::int64_t image = 0;  ///< its place among the validation images
  int label = 0, answer = 0;
  double certainty = 0;  ///< probability of the answer
  double of_label = 0;   ///< probability of the label
};
/// The images whose labels get the lowest probability, worst first, at most `most` of them. If scores
/// overflow, probabilities count as 0.
std::vector<Mistake> worst_mistakes(const Predictions& predictions, std::size_t most);
/// A table in Markdown, in the order of the contact sheet. `names`: of the classes, or none.
std::string list_of(const std::vector<Mistake>& mistakes, const std::vector<std::string>& names);

}  // namespace convoy
