// to_yaml writes what parse_config reads back to the same structs.
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <tuple>

#include "tests/config/support.h"
#include "tests/rules.h"
#include "tests/source_dir.h"

namespace convoy {
namespace {

// Structured bindings name every member, so that a new member fails to compile here until it is compared.
auto members(const SyntheticConfig& c) {
  const auto& [image, classes, train, test] = c;
  return std::tie(image, classes, train, test);
}
auto members(const DataConfig& c) {
  const auto& [source, path, synthetic, mean, std, crop_pad, crop_mode, flip, jitter, erasing, mixup, cutmix,
               part, operations, resize, max_bad, input, validation, test, resident, balance, mark] = c;
  return std::tie(source, path, mean, std, crop_pad, crop_mode, flip, mixup, cutmix, operations,
                  part.min_scale, part.max_scale, part.min_ratio, part.max_ratio, resize, max_bad, validation,
                  test, resident, balance);
}
auto members(const ColorJitter& c) {
  const auto& [brightness, contrast, saturation, hue] = c;
  return std::tie(brightness, contrast, saturation, hue);
}
auto members(const RandomErasing& c) {
  const auto& [probability, min_area, max_area, min_ratio, max_ratio] = c;
  return std::tie(probability, min_area, max_area, min_ratio, max_ratio);
}
auto members(const EarlyStopConfig& c) {
  return std::tie(c.metric, c.patience);
}
auto members(const OptimizerConfig& c) {
  const auto& [rule, lr, weight_decay, decay_all, groups] = c;
  return std::tie(rule, lr, weight_decay, decay_all);
}
auto members(const ScheduleConfig& c) {
  const auto& [name, warmup, warmup_steps, milestones, milestone_steps, gamma, final_factor, start_factor,
               peak_at] = c;
  return std::tie(name, warmup, warmup_steps, milestones, milestone_steps, gamma, final_factor, start_factor,
                  peak_at);
}

auto members(const FreezeConfig& c) {
  const auto& [match, epochs, mark] = c;
  return std::tie(match, epochs);
}
auto members(const GroupConfig& c) {
  const auto& [match, lr, absolute, weight_decay, mark] = c;
  return std::tie(match, lr, absolute, weight_decay);
}

template <class T>
bool same(const T& a, const T& b) {
  return members(a) == members(b);
}
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const T& x, const T& y) { return same(x, y); });
}
bool same(const TrainConfig& a, const TrainConfig& b) {
  const auto members_but_stop = [](const TrainConfig& c) {
    const auto& [epochs, batch, micro_batch, shards, precision, loss, weights, smoothing, drop_last, on_nan,
                 clip_norm, ema, fusion, recompute, autotune, bucket, log_every, tensorboard, early_stop,
                 freeze] = c;
    return std::tie(epochs, batch, micro_batch, shards, precision, loss.gamma, weights.balanced,
                    weights.values, smoothing, drop_last, on_nan, clip_norm, ema, fusion, recompute, autotune,
                    bucket, log_every, tensorboard);
  };
  return members_but_stop(a) == members_but_stop(b) && a.early_stop.has_value() == b.early_stop.has_value() &&
         (!a.early_stop || same(*a.early_stop, *b.early_stop));
}

void expect_same(const Config& x, const Config& y) {
  const auto& [name, seed, data, model, train, optimizer, schedule, device, checkpoint, distributed] = x;
  EXPECT_EQ(name, y.name);
  EXPECT_EQ(seed, y.seed);
  EXPECT_TRUE(same(data, y.data));
  EXPECT_TRUE(same(data.synthetic, y.data.synthetic));
  EXPECT_TRUE(same(data.jitter, y.data.jitter));
  EXPECT_TRUE(same(data.erasing, y.data.erasing));
  EXPECT_EQ(model.input, y.model.input);
  EXPECT_TRUE(model.layers == y.model.layers);
  EXPECT_EQ(model.init, y.model.init);
  EXPECT_TRUE(same(train.freeze, y.train.freeze));
  EXPECT_TRUE(same(optimizer.groups, y.optimizer.groups));
  EXPECT_TRUE(same(train, y.train));
  EXPECT_TRUE(same(optimizer, y.optimizer));
  EXPECT_TRUE(same(schedule, y.schedule));
  EXPECT_EQ(device, y.device);
  EXPECT_EQ(checkpoint.every_epochs, y.checkpoint.every_epochs);
  EXPECT_EQ(checkpoint.every_steps, y.checkpoint.every_steps);
  EXPECT_EQ(checkpoint.keep, y.checkpoint.keep);
  EXPECT_EQ(checkpoint.best, y.checkpoint.best);
  EXPECT_EQ(distributed.timeout, y.distributed.timeout);
  EXPECT_EQ(distributed.step_timeout, y.distributed.step_timeout);
  EXPECT_EQ(distributed.gradient_dtype, y.distributed.gradient_dtype);
  EXPECT_EQ(distributed.bind, y.distributed.bind);
  EXPECT_EQ(distributed.verify_every, y.distributed.verify_every);
}

/// Draws valid configurations that use every key sooner or later.
class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}

  int below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
  bool coin() { return below(2) == 1; }
  template <class T>
  T share() {  // in (0, 1), with all the bits a T has
    return std::uniform_real_distribution<T>(T(0.001), T(0.999))(engine_);
  }
  template <class E>
  E any(std::initializer_list<E> values) {
    return values.begin()[below(static_cast<int>(values.size()))];
  }
  Source source(bool streamed) {
    std::vector<Source> sources;
    for (const SourceFacts& facts : source_list)
      if (is_streamed(facts.source) == streamed) sources.push_back(facts.source);
    return sources[static_cast<std::size_t>(below(static_cast<int>(sources.size())))];
  }
  /// Some, in any order.
  std::vector<PictureOperation> operations() {
    std::vector<PictureOperation> all;
    for (int op = 0; op < picture_ops; ++op) {
      PictureOperation o;
      o.op = static_cast<PictureOp>(op);
      const bool always = o.op == PictureOp::trivial_augment || o.op == PictureOp::rand_augment;
      if (!always) o.probability = share<float>();
      if (o.op == PictureOp::rand_augment) o.count = 1 + below(16), o.magnitude = below(31);
      if (o.op == PictureOp::rotate || o.op == PictureOp::affine) o.degrees = 180 * share<float>();
      if (o.op == PictureOp::affine) {
        o.translate_x = share<float>(), o.translate_y = coin() ? o.translate_x : share<float>();
        o.min_scale = share<float>() + 0.001f, o.max_scale = coin() ? o.min_scale : 1 + share<float>();
        o.shear_x = 80 * share<float>(), o.shear_y = coin() ? 0 : 80 * share<float>();
      }
      if (o.op == PictureOp::gaussian_blur) {
        o.min_sigma = 1 + share<float>(), o.max_sigma = coin() ? o.min_sigma : 2 + share<float>();
      }
      if (o.op == PictureOp::posterize) o.bits = below(9);
      if (o.op == PictureOp::solarize) o.threshold = 255 * share<float>();
      if (o.op == PictureOp::sharpness) o.factor = 3 * share<float>();
      if (coin()) all.insert(all.begin() + below(static_cast<int>(all.size()) + 1), o);
    }
    return all;
  }
  AxisValues axes(int least) {
    AxisValues values(static_cast<std::size_t>(1 + below(3)));
    for (int& value : values) value = least + below(4);
    return values;
  }

  LayerConfig layer(int depth) {
    LayerConfig layer;
    switch (below(depth > 0 ? 9 : 8)) {
      case 0: {
        ConvConfig conv{1 + below(99), axes(1), axes(1), axes(1), axes(0), 1 + below(9), coin()};
        if (coin()) {
          conv.pad.reset();
          conv.kernel = {1, 3, 5};
        }
        conv.init = any({Init::he, Init::glorot, Init::dirac});
        layer.layer = conv;
        break;
      }
      case 1:
        layer.layer = LinearConfig{1 + below(99), coin(), coin(), any({Init::he, Init::glorot, Init::dirac})};
        break;
      case 2:
        layer.layer = PoolConfig{any({PoolConfig::Mode::max, PoolConfig::Mode::average}),
                                 {2 + below(3)},
                                 coin() ? AxisValues{} : axes(1),
                                 {below(2)},
                                 coin(),
                                 true,
                                 {}};
        break;
      case 3:
        layer.layer = PoolConfig{PoolConfig::Mode::global_average, {}, {}, {0}, false, true, {}};
        if (coin())
          layer.layer = PoolConfig{PoolConfig::Mode::adaptive_average, {}, {}, {0}, false, true, axes(1)};
        break;
      case 4:
        layer.layer = BatchNormConfig{below(9), share<float>(), share<float>()};
        break;
      case 5: {
        ActivationConfig activation;
        for_each_type(Activations{}, [&, skip = below(5)]<class A>() mutable {
          if (skip-- != 0) return;
          activation.kind = A::kind;
          if constexpr (requires { A::parameter; }) activation.parameter = share<float>();
        });
        layer.layer = activation;
        break;
      }
      case 6:
        layer.layer = DropoutConfig{share<float>()};
        break;
      case 7:
        layer.layer = FlattenConfig{};
        break;
      default:
        layer.layer = ResidualConfig{layers(depth - 1, 1), layers(depth - 1, 0)};
    }
    return layer;
  }
  std::vector<LayerConfig> layers(int depth, int fewest) {
    std::vector<LayerConfig> layers;
    for (int i = fewest + below(4); i > 0; --i) {
      layers.push_back(layer(depth));
      if (coin()) layers.back().name = any<std::string>({"conv1", "layer1.0", "null", "1e3", "a-b_c"});
    }
    return layers;
  }

  Config config() {
    Config c;
    c.name = any<std::string>({"run", "a-b_c.9", "null", "123", "true"});
    c.seed = (std::uint64_t{engine_()} << 32) | engine_();
    c.data.source = source(/*streamed=*/false);
    if (c.data.source == Source::synthetic) {
      c.data.synthetic = {{1 + below(9), 1 + below(99), 1 + below(99)}, 1 + below(99), 1 + below(99), 1};
      if (coin()) c.data.synthetic.image.push_back(7);
    }
    c.data.path =
        any<std::string>({"data", "a path: with \"signs\" # and \\", "~", "-1", "\xc3\xa9t\xc3\xa9", "a\tb"});
    c.model.input = coin() ? std::vector{3, 3 + below(50), 7} : std::vector{3, 4, 5, 3 + below(50)};
    if (coin())
      c.data.mean = coin() ? std::vector{share<float>()} : std::vector{-share<float>(), 0.f, share<float>()};
    if (coin())
      c.data.std = coin() ? std::vector{share<float>()} : std::vector{share<float>(), 1.f, share<float>()};
    c.data.crop_pad = below(3);
    c.data.crop_mode = any({PadMode::zero, PadMode::reflect});
    c.data.flip = any({Flip::none, Flip::horizontal, Flip::vertical, Flip::both});
    if (c.model.input.size() == 3 || c.model.input[1] == 1) c.data.operations = operations();
    if (coin()) {
      const bool colored = c.model.input[0] == 3;
      c.data.jitter = {share<float>(), coin() ? 0 : share<float>(), 3 * share<float>(),
                       colored && coin() ? share<float>() / 2 : 0};
    }
    if (coin()) {
      const float area = share<float>(), ratio = share<float>();
      c.data.erasing = {share<float>(), area / 2, area, ratio, 2 * ratio};
    }
    if (coin()) c.data.mixup = share<float>();
    if (coin()) c.data.cutmix = share<float>();
    c.data.validation_fraction = coin() ? 0 : share<double>();
    c.data.test = any({DataConfig::Test::automatic, DataConfig::Test::none});
    c.data.resident =
        any({DataConfig::Resident::automatic, DataConfig::Resident::yes, DataConfig::Resident::no});
    if (coin()) {
      c.data.source = source(/*streamed=*/true);
      c.data.synthetic = {};
      c.model.input = {3, 3 + below(50), 3 + below(50)};
      c.data.resize = any({0, 64});
      if (has_pictures(c.data.source)) c.data.max_bad = below(9);
      if (coin()) c.data.resized_crop = {share<float>(), 1, share<float>(), 1 + share<float>()};
      c.data.resident = any({DataConfig::Resident::automatic, DataConfig::Resident::no});
    }
    c.model.layers = layers(3, 1);
    c.model.spare_scores = coin();
    if (coin()) c.model.init = "weights: \"x\".pth";
    const auto pattern = [&] { return any<std::string>({"*", "fc.*", "layer?", "null"}); };
    if (coin()) c.train.freeze = {{pattern(), below(4), {}}, {pattern(), 0, {}}};
    if (coin()) c.optimizer.groups = {{pattern(), share<float>(), coin(), coin() ? 0 : share<float>(), {}}};
    c.train.epochs = 2 + below(100);
    c.train.global_batch = 1 + below(5000);
    c.device = any({Device::automatic, Device::cpu, Device::cuda, Device::reference});
    if (c.device == Device::reference) c.train.precision = any({Precision::fp32, Precision::fp64});
    if (c.device == Device::cuda)
      c.train.precision = any({Precision::fp32, Precision::tf32, Precision::fp16, Precision::bf16});
    c.train.label_smoothing = share<float>();
    if (coin()) c.train.loss.gamma = coin() ? 2 : share<float>();
    c.data.balance = coin();
    if (coin()) {
      c.train.class_weights.balanced = !c.data.balance;
    } else if (coin()) {
      c.train.class_weights.values = {share<float>(), 1, 0};
    }
    c.train.drop_last = coin();
    if (coin()) {
      c.train.micro_batch = 1 + below(c.train.global_batch);
    } else if (coin() && c.train.global_batch >= 4) {
      c.train.reproducible_across_ranks = any({1, 2, 4});
    }
    c.train.fusion = coin();
    c.train.recompute = coin();
    c.train.autotune = coin();
    c.train.bucket_bytes = 1000 + below(100'000'000);
    c.train.on_nan = any({TrainConfig::OnNan::stop, TrainConfig::OnNan::skip});
    if (coin()) c.train.clip_norm = share<float>();
    if (coin()) c.train.ema = share<float>();
    if (coin()) {
      c.train.early_stop = {any({EarlyStopConfig::Metric::val_loss, EarlyStopConfig::Metric::val_accuracy}),
                            1 + below(9)};
    }
    const std::vector<OptimizerRule> rules = all_rules();
    c.optimizer.rule = rules[static_cast<std::size_t>(below(static_cast<int>(rules.size())))];
    const std::vector<std::string> values{fmt::to_string(share<float>()), coin() ? "true" : "false"};
    std::visit([&](auto& rule) { testing::set_keys(rule, values); }, c.optimizer.rule);
    c.optimizer.lr = share<float>() * (coin() ? 1e-20f : 1.f);
    c.optimizer.weight_decay = share<float>();
    c.optimizer.decay_all = coin();
    using S = ScheduleConfig::Name;
    c.schedule.name = any({S::constant, S::step, S::linear, S::cosine, S::one_cycle});
    if (c.schedule.name != S::one_cycle && coin()) {
      c.schedule.warmup_steps = 1 + below(1000);
    } else if (c.schedule.name != S::one_cycle) {
      c.schedule.warmup_epochs = share<double>();
    }
    if (c.schedule.name == S::step) {
      c.schedule.milestones = {share<double>(), 1 + share<double>()};
      if (coin()) c.schedule.milestones.resize(1);
      if (coin()) c.schedule.milestones.clear(), c.schedule.milestone_steps = {1 + below(9), 20};
      c.schedule.gamma = share<double>();
    }
    if (c.schedule.name == S::linear || c.schedule.name == S::cosine)
      c.schedule.final_factor = share<double>();
    if (c.schedule.name == S::one_cycle)
      c.schedule.start_factor = share<double>(), c.schedule.peak_at = share<double>();
    c.train.log_every = share<double>();
    c.checkpoint = {1 + below(5), below(5)};
    c.distributed = {
        1 + share<double>(), coin() ? 0 : share<double>(), below(5000),
        c.train.reproducible_across_ranks > 0 ? Precision::fp32 : any({Precision::fp32, Precision::bf16}),
        coin()};
    return c;
  }

 private:
  std::mt19937 engine_;
};

TEST(RoundTrip, RandomConfigurations) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    const Config config = Dice(seed).config();
    const std::string text = to_yaml(config);
    SCOPED_TRACE(text);
    ASSERT_NO_THROW(expect_same(config, testing::parse(text)));
    if (HasFailure()) break;
  }
}

TEST(RoundTrip, EveryShippedConfiguration) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CONVOY_SOURCE_DIR "/configs")) {
    if (entry.path().extension() != ".yaml") continue;
    SCOPED_TRACE(entry.path());
    const Config config = load_config(entry.path(), {});
    const std::string text = to_yaml(config);
    const Config again = testing::parse(text);
    expect_same(config, again);
    EXPECT_EQ(to_yaml(again), text);
    ++count;
  }
  EXPECT_GT(count, 0) << "no configuration was found";
}

TEST(Help, ListsEveryKeyThatToYamlWrites) {
  std::istringstream words(schema_help());
  std::string help;  // in one line
  for (std::string word; words >> word;) help += word + " ";
  for (const char* key : {"name", "seed", "data.source", "data.normalize.mean", "train.early_stop.patience",
                          "optimizer.momentum", "schedule.peak_at", "checkpoint.keep", "distributed.timeout",
                          "conv", "leaky_relu", "residual", "not used by digits and shapes3d and synthetic",
                          "data.synthetic.image", "images to train on (source: synthetic)",
                          "fp32 | tf32 | fp16 | bf16 | fp64", "integer in [1, 1000000]"}) {
    EXPECT_NE(help.find(key), std::string::npos) << key;
  }
}

TEST(Help, ThePageInDocsIsWhatTheTablesSay) {
  std::ifstream file(CONVOY_SOURCE_DIR "/docs/configuration.md");
  std::ostringstream page;
  page << file.rdbuf();
  EXPECT_EQ(page.str(), schema_markdown()) << "write it anew: convoy keys --markdown > docs/configuration.md";
}

}  // namespace
}  // namespace convoy
