#include "src/config/hints.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <numeric>
#include <optional>
#include <utility>

#include "src/config/nearest.h"
#include "src/config/value.h"

namespace convoy {
namespace {

/// Small letters and digits alone: "Batch-Norm" and "batch_norm" are the same word.
std::string normalized(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '.') out += static_cast<char>(std::tolower(byte));
  }
  return out;
}

/// What PyTorch, Keras and other trainers call things, normalized, and their names here. Where a word has
/// several names here, the first that is valid in its place counts.
constexpr std::pair<const char*, const char*> other_names[] = {
    // devices, numbers
    {"gpu", "cuda"},
    {"cuda0", "cuda"},
    {"nvidia", "cuda"},
    {"half", "fp16"},
    {"float16", "fp16"},
    {"mixed", "fp16"},
    {"amp", "fp16"},
    {"bfloat16", "bf16"},
    {"float", "fp32"},
    {"float32", "fp32"},
    {"single", "fp32"},
    {"double", "fp64"},
    {"float64", "fp64"},
    // layers and their keys
    {"conv1d", "conv"},
    {"conv2d", "conv"},
    {"conv3d", "conv"},
    {"convolution", "conv"},
    {"fc", "linear"},
    {"dense", "linear"},
    {"fullyconnected", "linear"},
    {"bn", "batchnorm"},
    {"batchnorm1d", "batchnorm"},
    {"batchnorm2d", "batchnorm"},
    {"batchnorm3d", "batchnorm"},
    {"batchnormalization", "batchnorm"},
    {"syncbatchnorm", "batchnorm"},
    {"maxpool2d", "maxpool"},
    {"maxpool3d", "maxpool"},
    {"maxpooling2d", "maxpool"},
    {"avgpool2d", "avgpool"},
    {"avgpool3d", "avgpool"},
    {"averagepooling2d", "avgpool"},
    {"adaptiveavgpool2d", "adaptive_avgpool"},
    {"adaptiveavgpool", "adaptive_avgpool"},
    {"globalaveragepooling2d", "globalavgpool"},
    {"gap", "globalavgpool"},
    {"dropout2d", "dropout"},
    {"lrelu", "leaky_relu"},
    {"swish", "silu"},
    {"hswish", "hardswish"},
    {"hsigmoid", "hardsigmoid"},
    {"ln", "layernorm"},
    {"layernorm2d", "layernorm"},
    {"layernormalization", "layernorm"},
    {"gn", "groupnorm"},
    {"groupnormalization", "groupnorm"},
    {"cat", "concat"},
    {"concatenate", "concat"},
    {"se", "squeeze_excite"},
    {"squeezeexcitation", "squeeze_excite"},
    {"channelshuffle", "channel_shuffle"},
    {"layerscale", "layer_scale"},
    {"droppath", "drop_path"},
    {"stochasticdepth", "drop_path"},
    {"numgroups", "groups"},
    {"skip", "residual"},
    {"block", "residual"},
    {"outchannels", "out"},
    {"outfeatures", "out"},
    {"filters", "out"},
    {"channels", "out"},
    {"units", "out"},
    {"kernelsize", "kernel"},
    {"poolsize", "kernel"},
    {"strides", "stride"},
    {"padding", "pad"},
    {"dilationrate", "dilation"},
    {"usebias", "bias"},
    {"eps", "epsilon"},
    {"negativeslope", "slope"},
    {"p", "rate"},
    {"p", "probability"},
    {"main", "body"},
    {"downsample", "shortcut"},
    // augmentations
    {"randomcrop", "crop"},
    {"hflip", "flip"},
    {"randomhorizontalflip", "flip"},
    {"horizontalflip", "flip"},
    {"vflip", "flip"},
    {"randomverticalflip", "flip"},
    {"verticalflip", "flip"},
    {"colorjitter", "color_jitter"},
    {"trivialaugmentwide", "trivial_augment"},
    {"randomrotation", "rotate"},
    {"rotation", "rotate"},
    {"randomaffine", "affine"},
    {"blur", "gaussian_blur"},
    {"randomgrayscale", "grayscale"},
    {"randomposterize", "posterize"},
    {"randomsolarize", "solarize"},
    {"randomequalize", "equalize"},
    {"randomautocontrast", "autocontrast"},
    {"randomadjustsharpness", "sharpness"},
    {"cutout", "random_erasing"},
    // keys of training
    {"batch", "global_batch"},
    {"batchsize", "global_batch"},
    {"bs", "global_batch"},
    {"microbatchsize", "micro_batch"},
    {"accumulate", "micro_batch"},
    {"epoch", "epochs"},
    {"maxepochs", "epochs"},
    {"numepochs", "epochs"},
    {"nepochs", "epochs"},
    {"learningrate", "lr"},
    {"baselr", "lr"},
    {"wd", "weight_decay"},
    {"l2", "weight_decay"},
    {"dtype", "precision"},
    {"gradclip", "clip_norm"},
    {"clipgradnorm", "clip_norm"},
    {"maxgradnorm", "clip_norm"},
    {"smoothing", "label_smoothing"},
    {"criterion", "loss"},
    {"lossfunction", "loss"},
    {"classweight", "class_weights"},
    {"weightedsampler", "balance"},
    {"oversample", "balance"},
    {"dataset", "source"},
    {"data", "path"},
    {"dir", "path"},
    {"datadir", "path"},
    {"datapath", "path"},
    {"warmup", "warmup_epochs"},
    {"opt", "optimizer.name"},
    {"optim", "optimizer.name"},
    {"optimizer", "optimizer.name"},
    {"scheduler", "schedule.name"},
    {"lrscheduler", "schedule.name"},
    {"lrschedule", "schedule.name"},
    {"schedule", "schedule.name"},
    {"arch", "model.layers"},
    {"randomseed", "seed"},
    // schedules and data sets
    {"cosineannealing", "cosine"},
    {"cosineannealinglr", "cosine"},
    {"cos", "cosine"},
    {"onecyclelr", "one_cycle"},
    {"multistep", "step"},
    {"multisteplr", "step"},
    {"steplr", "step"},
    {"imagefolder", "folder"},
    {"imagenet", "folder"},
    {"fmnist", "fashion-mnist"},
};

std::optional<std::string> nearest(const std::string& text, const std::vector<std::string>& words) {
  const std::string plain = normalized(text);
  for (const std::string& word : words)
    if (normalized(word) == plain) return word;
  for (const auto& [other, here] : other_names) {
    if (plain == other && std::find(words.begin(), words.end(), here) != words.end()) return here;
  }
  std::size_t best = std::max<std::size_t>(2, text.size() / 2) + 1;
  std::optional<std::string> found;
  for (const std::string& word : words) {
    const std::size_t distance = edit_distance(text, word);
    if (distance < best && distance < word.size()) {
      best = distance;
      found = word;
    }
  }
  return found;
}

}  // namespace

std::string did_you_mean(const std::string& text, const std::vector<std::string>& words) {
  if (text.size() > 64) return "";
  const auto found = nearest(text, words);
  return found && *found != text ? fmt::format(" (did you mean {}?)", quote(*found)) : "";
}

std::string key_for(const std::string& name, const std::vector<std::string>& keys) {
  const std::string plain = normalized(name);
  if (plain.empty()) return "";
  std::vector<std::string> wanted = {plain};
  for (const auto& [other, here] : other_names)
    if (plain == other) wanted.push_back(normalized(here));
  for (const std::string& word : wanted) {
    for (const std::string& key : keys) {
      const std::string whole = normalized(key);
      if (whole == word || whole.ends_with("." + word)) return key;
    }
  }
  return "";
}

}  // namespace convoy
