// The schema of everything but augmentations, layers, optimizer and schedule.
#include <cctype>

#include "src/config/loss_keys.h"
#include "src/config/pattern_lists.h"
#include "src/config/schema.h"
#include "src/config/sources.h"

namespace convoy {
namespace {

// ---- data ----

Codec<double> validation() {
  const Codec<double> fraction =
      number<double>(Interval{.low = 0, .high = 1, .low_open = true, .high_open = true});
  const std::string type = "test | " + fraction.type;
  return {
      type,
      [=](const Place& place) {
        if (place.value.text == "test") return 0.0;
        if (place.value.text.empty() || std::isalpha(static_cast<unsigned char>(place.value.text[0])) != 0) {
          place.refuse("expected {}, got {}", type, describe(place.value));
        }
        return fraction.read(place);
      },
      [=](const double& value) { return value == 0 ? Value::scalar("test") : fraction.write(value); }};
}

Table<SyntheticConfig> synthetic_table() {
  using S = SyntheticConfig;
  const Interval samples = between(1, 1'000'000'000);  // two of them are fewer than an id can count
  Table<S> table;
  table.fields = {
      field("image", &S::image, one_or_list(number<int>(between(1, 65536)), 3, 4), "C, H, W or C, D, H, W"),
      field("classes", &S::classes, number<int>(between(1, 1 << 20)),
            "number of classes; labels are 0 to classes - 1"),
      field("train", &S::train, number<int>(samples), "images to train on"),
      field("test", &S::test, number<int>(samples), "images to validate on")};
  table.check = [](const S& s, const Place& place) {
    double elements = 1;  // in floating point, which does not overflow
    for (const int size : s.image) elements *= size;
    if (elements > std::numeric_limits<int>::max())
      place.at("image").refuse("an image of more than 2^31 - 1 elements is too large");
  };
  return table;
}

Table<DataConfig> data_table() {
  using D = DataConfig;
  using R = D::Resident;
  constexpr std::size_t most_channels = 1024;
  Table<D> normalize;
  normalize.fields = {
      field("mean", &D::mean, one_or_list(number<float>(), 1, most_channels),
            "per channel, of pixels in [0, 1]"),
      field("std", &D::std, one_or_list(number<float>(above(0)), 1, most_channels), "per channel")};
  normalize.check = [](const D& data, const Place& place) {
    const std::size_t mean = data.mean.size(), std = data.std.size();
    if (mean > 1 && std > 1 && mean != std) place.refuse("mean has {} values, std has {}", mean, std);
  };

  Table<D> table;
  table.fields = {
      field("source", &D::source, source_name(),
            source_help() + "; without it, but with a path, what lies there is recognised"),
      field("path", &D::path, string(),
            fmt::format("folder of the data set's files (of {} the file); not used by {}",
                        names_of_sources(path_is_file, " and "),
                        names_of_sources([](Source s) { return !has_files(s); }, " and "))),
      section("synthetic", &D::synthetic, synthetic_table())
          .only("source: synthetic", [](const D& d) { return d.source == Source::synthetic; }),
      field("resize", &D::resize, number<int>(between(0, 65536)),
            "size of the shorter side before the centre crop, in validation and in training without "
            "random_resized_crop; 0: 8/7 of the larger side of model.input")
          .only("source: " + names_of_sources(is_streamed, " | "),
                [](const D& d) { return is_streamed(d.source); }),
      field("max_bad", &D::max_bad, number<int>(at_least(0)),
            "number of broken pictures to accept: each is named and replaced by another of its class; one "
            "more ends the run")
          .only("source: " + names_of_sources(has_pictures, " | "),
                [](const D& d) { return has_pictures(d.source); }),
      inner_section("normalize", normalize),
      augment_field(),
      field("validation", &D::validation_fraction, validation(),
            "test: validate on the source's own images (of folders val/, otherwise test/); a number: on this "
            "share of the training set. Without it, 0.1 where pictures have no such parts"),
      field("test", &D::test, choice<D::Test>({{"auto", D::Test::automatic}, {"none", D::Test::none}}),
            "auto: measure the final accuracy on the source's test images, unless validation uses them; "
            "none: do not read them"),
      field("resident", &D::resident, choice<R>({{"auto", R::automatic}, {"true", R::yes}, {"false", R::no}}),
            "keep the whole data set in device memory"),
      field("balance", &D::balance, boolean(),
            "show every class equally often. The length of an epoch stays: images of small classes come "
            "several times in it, those of large classes are spread over several epochs"),
  };
  table.check = [](const D& data, const Place& place) {
    if (has_files(data.source) && data.path.empty()) {
      place.at("path").refuse("missing; this source needs the path of a {}",
                              path_is_file(data.source) ? "file" : "folder");
    }
    check_streamed(data, place);
  };
  return table;
}

// ---- model and training ----

Table<ModelConfig> model_table() {
  using M = ModelConfig;
  Table<M> table;
  table.fields = {
      field("input", &M::input, one_or_list(number<int>(between(1, 65536)), 3, 4), "C, H, W or C, D, H, W")
          .require(),
      field("layers", &M::layers, layer_list(false), "the layers in their order").require(),
      field("spare_scores", &M::spare_scores, boolean(),
            "accept a last layer with more outputs than the data set has classes"),
      field(
          "init", &M::init, string(),
          "weights to begin with: safetensors, its .index.json, or a PyTorch file; convoy train --init FILE "
          "takes the place of it. With model.name, keys that are left out get the defaults of fine-tuning")};
  return table;
}

/// Mebibytes in the file, bytes in the struct.
Codec<std::int64_t> mebibytes(Interval range) {
  constexpr double unit = 1 << 20;
  const Codec<double> number_of = number<double>(range);
  return {number_of.type,
          [=](const Place& place) {
            return static_cast<std::int64_t>(std::llround(number_of.read(place) * unit));
          },
          [=](const std::int64_t& bytes) { return number_of.write(static_cast<double>(bytes) / unit); }};
}

Table<TrainConfig> train_table() {
  using T = TrainConfig;
  using E = EarlyStopConfig;
  Table<E> early_stop;
  early_stop.fields = {
      field("metric", &E::metric,
            choice<E::Metric>({{"val_loss", E::Metric::val_loss}, {"val_accuracy", E::Metric::val_accuracy}}),
            "end training when this metric stops improving; without train.early_stop all epochs run"),
      field("patience", &E::patience, number<int>(at_least(1)),
            "epochs without improvement before training stops")};

  Table<T> table;
  table.fields = {
      field("epochs", &T::epochs, number<int>(between(1, 1'000'000)), "passes over the training set"),
      field("global_batch", &T::global_batch, number<int>(between(1, 1 << 20)),
            "images per step, over all ranks together"),
      field(
          "micro_batch", &T::micro_batch, number<int>(between(0, 1 << 20)),
          "images per pass over all ranks; a step adds up the gradients of its passes. 0: one pass per step"),
      field("reproducible_across_ranks", &T::reproducible_across_ranks, number<int>(between(0, 1024)),
            "a power of two: the batch is cut into so many logical shards, and every rank count that divides "
            "it gives weights of the same bits and metrics of the same digits; 0: off"),
      field(
          "precision", &T::precision,
          choice<Precision>({{"fp32", Precision::fp32},
                             {"tf32", Precision::tf32},
                             {"fp16", Precision::fp16},
                             {"bf16", Precision::bf16},
                             {"fp64", Precision::fp64}}),
          "tf32, fp16, bf16: tensor cores, device: cuda only (tf32 and bf16 from compute capability 8.0 on); "
          "fp64: the reference engine only"),
      field("loss", &T::loss, loss_codec(),
            "what training minimises. focal (Lin et al., 2017): the cross-entropy times (1 - p)^gamma, p the "
            "probability of the class, so that images that are classified well count less; gamma is 2 unless "
            "given. Validation reports the cross-entropy"),
      field(
          "class_weights", &T::class_weights, class_weights_codec(),
          "factor of each class in the training loss, in the order of the labels; balanced: training images "
          "/ (classes x images of the class). The loss of a batch is divided by its number of images, not "
          "by the sum of their weights"),
      field("label_smoothing", &T::label_smoothing, number<float>(half_open(0, 1)),
            "share of the target probability that is spread over all classes"),
      field("drop_last", &T::drop_last, boolean(), "leave out an epoch's last, short batch"),
      field("on_nan", &T::on_nan, choice<T::OnNan>({{"stop", T::OnNan::stop}, {"skip", T::OnNan::skip}}),
            "what to do when the loss is NaN or infinite. stop: end the run; skip: skip that step"),
      field("clip_norm", &T::clip_norm, number<float>(at_least(0)),
            "largest 2-norm of the gradient over all parameters; a longer gradient is scaled down to it. 0: "
            "off"),
      field("ema", &T::ema, number<float>(half_open(0, 1)),
            "decay per step of a moving average of the weights, which validation uses instead of the "
            "weights; 0: off"),
      field("fusion", &T::fusion, boolean(),
            "fuse calls of a step if one reads what another has just written"),
      field("recompute", &T::recompute, boolean(),
            "save memory: recompute cheap activations in backward instead of keeping them"),
      field("autotune", &T::autotune, boolean(),
            "on CUDA devices, time the tiles of each convolution once and cache the fastest"),
      field("bucket_mb", &T::bucket_bytes, mebibytes(between(0.0001, 4096)),
            "size of gradient buckets, which are summed over ranks one by one, in MiB"),
      field("log_every", &T::log_every, number<double>(between(0, 1e6)),
            "seconds between progress lines within an epoch, in metrics.jsonl and train.log, and on standard "
            "output if it is not a terminal; 0: no such lines"),
      field("tensorboard", &T::tensorboard, boolean(),
            "write TensorBoard files to the run folder; view them with tensorboard --logdir runs"),
      section("early_stop", &T::early_stop, early_stop),
      field("freeze", &T::freeze, freeze_list(),
            "parameters that are not trained, for so many epochs or for all; they cost no gradients")};
  table.check = [](const T& t, const Place& place) {
    const int parts = t.reproducible_across_ranks;
    if (t.micro_batch > t.global_batch) place.at("micro_batch").refuse("larger than train.global_batch");
    if ((parts & (parts - 1)) != 0) place.at("reproducible_across_ranks").refuse("must be a power of two");
    if (parts > t.global_batch)
      place.at("reproducible_across_ranks").refuse("larger than train.global_batch");
    if (parts > 0 && t.micro_batch > 0)
      place.at("micro_batch")
          .refuse("cannot be combined with reproducible_across_ranks, which sets the passes itself");
  };
  return table;
}

Table<DistributedConfig> distributed_table() {
  using D = DistributedConfig;
  Table<D> table;
  table.fields = {
      field("timeout", &D::timeout, number<double>(between(0.5, 86'400)),
            "end the run when nothing was heard of a rank for this many seconds"),
      field(
          "step_timeout", &D::step_timeout, number<double>(between(0, 1e6)),
          "end the run when a step or an evaluation batch takes longer than this many seconds; 0: no limit"),
      field("verify_every", &D::verify_every, number<std::int64_t>(between(0, 1e12)),
            "steps after which ranks compare hashes of their weights, as at the end of epochs and "
            "before checkpoints; 0: at the start alone"),
      field("gradient_dtype", &D::gradient_dtype,
            choice<Precision>(
                {{"fp32", Precision::fp32}, {"fp16", Precision::fp16}, {"bf16", Precision::bf16}}),
            "type of gradients in the sum over ranks; with 16 bits the sums are rounded, too"),
      field("bind", &D::bind, choice<bool>({{"auto", true}, {"none", false}}),
            "auto: bind a GPU's rank to the cores near that GPU, unless the launcher has bound it; none: do "
            "not bind")};
  return table;
}

// ---- the whole ----

/// A run's folder is called like this, so it must be one plain path component.
Codec<std::string> file_name() {
  Codec<std::string> codec = string();
  codec.type = "letters, digits, '.', '_', '-'";
  codec.read = [read = codec.read](const Place& place) {
    const std::string name = read(place);
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
    });
    if (!plain || name[0] == '.' || name[0] == '-' || name.size() > 100) {
      place.refuse(
          "expected at most 100 letters, digits, '.', '_' or '-', beginning with a letter, digit or '_'; got "
          "{}",
          describe(place.value));
    }
    return name;
  };
  return codec;
}

void check_config(const Config& config, const Place& place) {
  Problems problems;
  problems.attempt([&] {
    if (config.train.precision == Precision::fp64 && config.device != Device::reference) {
      place.at("train").at("precision").refuse("fp64 needs device: reference");
    }
    if (needs_cuda(config.train.precision) &&
        (config.device == Device::cpu || config.device == Device::reference)) {
      place.at("train").at("precision").refuse("{} needs device: cuda", name_of(config.train.precision));
    }
  });
  problems.attempt([&] {
    const Precision wire = config.distributed.gradient_dtype;
    const Place at = place.at("distributed").at("gradient_dtype");
    if (wire == Precision::fp16 && config.train.precision != Precision::fp16)
      at.refuse("fp16 gradients overflow without loss scaling; use bf16, or train.precision: fp16");
    if (wire != Precision::fp32 && config.train.reproducible_across_ranks > 0)
      at.refuse("{} rounds gradients, but train.reproducible_across_ranks needs fp32", name_of(wire));
  });
  problems.attempt([&] {
    if (config.data.balance && config.train.class_weights.balanced)
      place.at("train")
          .at("class_weights")
          .refuse(
              "balanced evens out classes that data.balance has made even already; leave out one of the two");
  });
  const auto channels = static_cast<std::size_t>(config.model.input[0]);
  const auto check_channels = [&](const std::vector<float>& values, const char* key) {
    problems.attempt([&] {
      if (values.size() > 1 && values.size() != channels) {
        place.at("data")
            .at("normalize")
            .at(key)
            .refuse("{} values for model.input's {} channels", values.size(), channels);
      }
    });
  };
  problems.attempt([&] {
    const auto& input = config.model.input;
    const int side = std::min(input[input.size() - 2], input.back());
    if (config.data.crop_mode == PadMode::reflect && config.data.crop_pad >= side) {
      place.at("data").at("augment").refuse(
          "crop.pad: {} with mode: reflect must be less than model.input's height and width, {}",
          config.data.crop_pad, side);
    }
  });
  problems.attempt([&] {
    if (config.data.jitter.hue > 0 && channels != 3) {
      place.at("data").at("augment").refuse(
          "color_jitter.hue: needs images of three channels, but model.input has {}", channels);
    }
  });
  problems.attempt([&] { check_operations(config, place); });
  problems.attempt([&] { check_streamed_input(config, place); });
  check_channels(config.data.mean, "mean");
  check_channels(config.data.std, "std");
  problems.raise();
}

Table<Config> make_config_table() {
  using C = Config;
  Table<CheckpointConfig> checkpoint;
  checkpoint.fields = {
      field("every_epochs", &CheckpointConfig::every_epochs, number<int>(at_least(1)),
            "epochs between checkpoints"),
      field("every_steps", &CheckpointConfig::every_steps, number<std::int64_t>(at_least(0)),
            "steps between checkpoints, within epochs too; 0: only after epochs"),
      field("keep", &CheckpointConfig::keep, number<int>(at_least(0)),
            "how many of the newest to keep; 0: all"),
      field("best", &CheckpointConfig::best, boolean(),
            "also keep the checkpoint of the epoch with the best early_stop.metric, as best.safetensors")};

  Table<C> table;
  table.fields = {field("name", &C::name, file_name(), "name of the run; its folder is runs/<name>"),
                  field("seed", &C::seed, number<std::uint64_t>(at_least(0)), "seed of all random numbers"),
                  section("data", &C::data, data_table()),
                  section("model", &C::model, model_table()).require(),
                  section("train", &C::train, train_table()),
                  section("optimizer", &C::optimizer, optimizer_table()),
                  section("schedule", &C::schedule, schedule_table()),
                  field("device", &C::device,
                        choice<Device>({{"auto", Device::automatic},
                                        {"cpu", Device::cpu},
                                        {"cuda", Device::cuda},
                                        {"reference", Device::reference}}),
                        "auto: cuda if there is a GPU, otherwise cpu; reference: plain loops, slow"),
                  section("checkpoint", &C::checkpoint, checkpoint),
                  section("distributed", &C::distributed, distributed_table())};
  table.check = check_config;
  return table;
}

}  // namespace

const Table<Config>& config_table() {
  static const Table<Config> table = make_config_table();
  return table;
}

}  // namespace convoy
