// What a well-formed configuration is read as.
#include "src/config/overrides.h"
#include "tests/config/support.h"

namespace convoy {
namespace {

using testing::minimal;
using testing::parse;

TEST(Config, ReadsTheDocumentedExample) {
  const Config config = parse(R"(name: mnist-lenet
seed: 7
data:
  source: mnist
  path: data/mnist
  normalize: {mean: [0.1307], std: [0.3081]}
  augment: [{crop: {pad: 2, mode: reflect}}, {flip: horizontal}]
  validation: 0.1
  resident: false
model:
  input: [1, 28, 28]
  layers:
    - conv: {out: 32, kernel: 3, pad: same}
    - relu
    - maxpool: 2
    - flatten
    - linear: 10
train:
  epochs: 3
  global_batch: 64
  precision: fp32
  label_smoothing: 0.1
  drop_last: true
  bucket_mb: 0.5
  early_stop: {metric: val_accuracy, patience: 2}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 5.0e-4, decay_all: true}
schedule: {name: cosine, warmup_epochs: 1, final_factor: 0.01}
device: reference
checkpoint: {every_epochs: 2, every_steps: 5000000000, keep: 0, best: true}
)");
  EXPECT_EQ(config.name, "mnist-lenet");
  EXPECT_EQ(config.seed, 7u);
  EXPECT_EQ(config.data.source, Source::mnist);
  EXPECT_EQ(config.data.path, "data/mnist");
  EXPECT_EQ(config.data.mean, std::vector<float>{0.1307f});
  EXPECT_EQ(config.data.std, std::vector<float>{0.3081f});
  EXPECT_EQ(config.data.crop_pad, 2);
  EXPECT_EQ(config.data.crop_mode, PadMode::reflect);
  EXPECT_EQ(config.data.flip, Flip::horizontal);
  EXPECT_EQ(config.data.validation_fraction, 0.1);
  EXPECT_EQ(config.data.resident, DataConfig::Resident::no);
  EXPECT_EQ(config.data.mark.text(), "net.yaml:3");
  EXPECT_EQ(config.model.input, (std::vector<int>{1, 28, 28}));
  EXPECT_EQ(config.model.layers.size(), 5u);
  EXPECT_EQ(config.model.mark.text(), "net.yaml:10");
  EXPECT_EQ(config.train.epochs, 3);
  EXPECT_EQ(config.train.global_batch, 64);
  EXPECT_EQ(config.train.label_smoothing, 0.1f);
  EXPECT_TRUE(config.train.drop_last);
  EXPECT_EQ(config.train.bucket_bytes, 512 * 1024);
  ASSERT_TRUE(config.train.early_stop);
  EXPECT_EQ(config.train.early_stop->metric, EarlyStopConfig::Metric::val_accuracy);
  EXPECT_EQ(config.train.early_stop->patience, 2);
  EXPECT_EQ(config.optimizer.rule, OptimizerRule((Sgd{.momentum = 0.9f, .nesterov = true})));
  EXPECT_EQ(config.optimizer.lr, 0.05f);
  EXPECT_EQ(config.optimizer.weight_decay, 5e-4f);
  EXPECT_TRUE(config.optimizer.decay_all);
  EXPECT_EQ(config.schedule.name, ScheduleConfig::Name::cosine);
  EXPECT_EQ(config.schedule.warmup_epochs, 1);
  EXPECT_EQ(config.schedule.final_factor, 0.01);
  EXPECT_EQ(config.device, Device::reference);
  EXPECT_EQ(config.checkpoint.every_epochs, 2);
  EXPECT_EQ(config.checkpoint.every_steps, 5'000'000'000);
  EXPECT_TRUE(config.checkpoint.best);
  EXPECT_EQ(config.checkpoint.keep, 0);
}

TEST(Config, OperationsOnPicturesKeepTheirOrder) {
  const Config config = parse(minimal + R"(data:
  augment:
    - color_jitter: {contrast: 0.4}
    - solarize: 100.5
    - trivial_augment
    - flip: both
    - affine: {translate: 0.1, scale: [0.9, 1.1], shear: 5}
    - grayscale: 0.2
    - gaussian_blur: {kernel: 3, sigma: 1.5}
)");
  const std::vector<PictureOperation>& operations = config.data.operations;
  ASSERT_EQ(operations.size(), 5u);
  EXPECT_EQ(operations[0].op, PictureOp::solarize);
  EXPECT_EQ(operations[0].threshold, 100.5f);
  EXPECT_EQ(operations[0].probability, 0.5f) << "torchvision's";
  EXPECT_EQ(operations[1], PictureOperation{});
  EXPECT_EQ(operations[2].op, PictureOp::affine);
  EXPECT_EQ(operations[2].translate_y, 0.1f);
  EXPECT_EQ(operations[2].max_scale, 1.1f);
  EXPECT_EQ(operations[2].shear_y, 0) << "as torchvision reads one number";
  EXPECT_EQ(operations[2].probability, 1);
  EXPECT_EQ(operations[3].probability, 0.2f);
  EXPECT_EQ(operations[4].max_sigma, 1.5f);
  EXPECT_EQ(config.data.flip, Flip::both);
  EXPECT_TRUE(config.data.augments());
  const std::string text = to_yaml(config);
  EXPECT_LT(text.find("flip"), text.find("solarize"));
  EXPECT_LT(text.find("solarize"), text.find("- trivial_augment\n")) << text;
  EXPECT_LT(text.find("gaussian_blur"), text.find("color_jitter"));
}

TEST(Config, KeepsDefaultsOfAbsentKeys) {
  const Config config = parse(minimal), initial;
  EXPECT_EQ(config.name, initial.name);
  EXPECT_EQ(config.train.epochs, initial.train.epochs);
  EXPECT_EQ(config.optimizer.lr, initial.optimizer.lr);
  EXPECT_FALSE(config.train.early_stop);
  EXPECT_TRUE(config.data.mean.empty());
  EXPECT_EQ(config.data.mark.text(), "net.yaml");
}

TEST(Config, ReadsTheWholeRangeOfSeeds) {
  EXPECT_EQ(parse(minimal + "seed: 18446744073709551615\n").seed, 18446744073709551615u);
  EXPECT_EQ(parse(minimal + "seed: 9007199254740993\n").seed, 9007199254740993u);  // no double in between
}

TEST(Config, ReadsNumbersAndTruthAsYamlWritesThem) {
  const auto config = [](const std::string& more) {
    return parse_config("model: {input: [1, 2, 2], layers: [flatten, linear: 2]}\n" + more, "t", {});
  };
  for (const char* text : {"1e-2", "+1e-2", "0.01", "+.01", "1.E-2"})
    EXPECT_EQ(config(fmt::format("optimizer: {{lr: {}}}", text)).optimizer.lr, 0.01f) << text;
  for (const char* text : {"31", "+31", "0x1f", "0x1F", "0o37"}) {
    EXPECT_EQ(config(fmt::format("train: {{epochs: {}}}", text)).train.epochs, 31) << text;
    EXPECT_EQ(parse_config("model: {input: [1, 2, 2], layers: [flatten, linear: 2]}", "t",
                           {fmt::format("train.epochs={}", text)})
                  .train.epochs,
              31)
        << text;
  }
  for (const char* text : {"true", "True", "TRUE"})
    EXPECT_TRUE(config(fmt::format("train: {{drop_last: {}}}", text)).train.drop_last) << text;
  for (const char* text : {"false", "False", "FALSE"})
    EXPECT_FALSE(config(fmt::format("train: {{tensorboard: {}}}", text)).train.tensorboard) << text;
  for (const char* text : {"1_000", "0x", "0x-1", "+-1", "++1", "-0x1", "0b1", "1 0", "+", "0o8"})
    EXPECT_THROW(config(fmt::format("train: {{epochs: {}}}", text)), Error) << text;
  for (const char* text : {".inf", "-.inf", ".nan", "inf", "nan", "+inf", "1e999", "1_0.0", "+-1.0"})
    EXPECT_THROW(config(fmt::format("optimizer: {{lr: {}}}", text)), Error) << text;
  for (const char* text : {"tRUE", "yes", "on", "1", "'true'"})
    EXPECT_THROW(config(fmt::format("train: {{drop_last: {}}}", text)), Error) << text;
}

TEST(Config, NameAloneStandsForAScheduleOrAnOptimizer) {
  const Config config =
      parse(minimal + "optimizer: adamw\nschedule: {name: step, milestones: [1, 2.5], gamma: 0.2}\n");
  EXPECT_EQ(config.optimizer.rule, OptimizerRule(Adam{.decoupled = true}));
  EXPECT_EQ(config.schedule.milestones, (std::vector<double>{1, 2.5}));
  EXPECT_EQ(config.schedule.gamma, 0.2);
  EXPECT_EQ(parse(minimal + "schedule: one_cycle\n").schedule.name, ScheduleConfig::Name::one_cycle);
}

TEST(Config, TakesHuesOfThreeChannelsOnly) {
  const std::string hue = "data: {augment: [{color_jitter: {hue: 0.1}}]}\n";
  const std::string colored = "model:\n  input: [3, 8, 8]\n  layers: [flatten, linear: 10]\n";
  EXPECT_FLOAT_EQ(parse(colored + hue).data.jitter.hue, 0.1f);
  EXPECT_NE(testing::refusal(minimal + hue)
                .find("net.yaml:4: data.augment: color_jitter.hue: needs images of three channels, but "
                      "model.input has 1"),
            std::string::npos);
  EXPECT_NE(testing::refusal(colored, {"data.augment=[{color_jitter: {hue: 0.6}}]"})
                .find("color_jitter.hue: out of range"),
            std::string::npos);
}

TEST(Config, CountsTheValuesOfARange) {
  const auto crop = [](const std::string& scale) {
    return testing::refusal(minimal, {"data.augment=[{random_resized_crop: {scale: " + scale + "}}]"});
  };
  EXPECT_NE(crop("0.5").find("scale: expected a list of 2: number in (0, 1], got"), std::string::npos)
      << crop("0.5");
  EXPECT_NE(crop("[0.1, 0.5, 1]").find("scale: expected 2 values, got 3"), std::string::npos);
}

TEST(Config, FollowsAliases) {
  const Config config = parse(R"(model:
  input: [3, 8, 8]
  layers:
    - conv: &three {out: 4, kernel: 3}
    - conv: *three
)");
  for (const LayerConfig& layer : config.model.layers) {
    EXPECT_EQ(std::get<ConvConfig>(layer.layer).out, 4);
  }
  EXPECT_EQ(config.model.layers[1].mark.line, 5);  // where the alias is used
}

TEST(Config, ReadsByteOrderMarkAndWindowsLineEnds) {
  EXPECT_EQ(parse("\xef\xbb\xbfseed: 3\r\nmodel:\r\n  input: [1, 2, 2]\r\n  layers: [flatten]\r\n").seed, 3u);
}

TEST(Override, ReplacesAValue) {
  EXPECT_EQ(parse(minimal + "train: {epochs: 3, global_batch: 7}\n", {"train.epochs=5"}).train.epochs, 5);
  EXPECT_EQ(parse(minimal + "train: {epochs: 3, global_batch: 7}\n", {"train.epochs=5"}).train.global_batch,
            7);
}

TEST(Override, AddsWhatTheFileLeavesOut) {
  EXPECT_EQ(parse(minimal, {"train.early_stop.patience=9"}).train.early_stop->patience, 9);
  EXPECT_EQ(parse(minimal, {"name=other"}).name, "other");
}

TEST(Override, ReplacesAWholeSection) {
  const Config config =
      parse(minimal + "optimizer: {momentum: 0.9, nesterov: true}\n", {"optimizer={name: adam, lr: 1e-3}"});
  EXPECT_EQ(config.optimizer.rule, OptimizerRule(Adam{}));
  EXPECT_EQ(config.optimizer.lr, 1e-3f);
}

TEST(Override, TheLastOneWins) {
  EXPECT_EQ(parse(minimal, {"seed=2", "seed=3"}).seed, 3u);
}

TEST(Override, ReachesEntriesOfLists) {
  const std::string text = R"(model:
  input: [1, 28, 28]
  layers:
    - conv: {out: 2, kernel: 3}
    - maxpool: 2
    - residual: [conv: {out: 2, kernel: 1}, relu]
    - dropout
    - flatten
    - linear: 10
)";
  const Config config =
      parse(text, {"model.layers.0.conv.kernel=5", "model.layers[1].maxpool.stride=1",
                   "model.layers.2.residual.body.0.conv.kernel=7", "model.layers.3.dropout.rate=0.25",
                   "model.layers.4=relu", "model.layers[5].linear.bias=false", "model.input[1]=30"});
  const auto& layers = config.model.layers;
  EXPECT_EQ(std::get<ConvConfig>(layers[0].layer).kernel, AxisValues{5});
  EXPECT_EQ(std::get<ConvConfig>(layers[0].layer).out, 2);
  EXPECT_EQ(std::get<PoolConfig>(layers[1].layer).kernel, AxisValues{2});
  EXPECT_EQ(std::get<PoolConfig>(layers[1].layer).stride, AxisValues{1});
  const auto& body = std::get<ResidualConfig>(layers[2].layer).body;
  EXPECT_EQ(std::get<ConvConfig>(body[0].layer).kernel, AxisValues{7});
  EXPECT_EQ(body.size(), 2u);
  EXPECT_EQ(std::get<DropoutConfig>(layers[3].layer).rate, 0.25f);
  EXPECT_TRUE(std::holds_alternative<ActivationConfig>(layers[4].layer));
  EXPECT_EQ(std::get<LinearConfig>(layers[5].layer).out, 10);
  EXPECT_FALSE(std::get<LinearConfig>(layers[5].layer).bias);
  EXPECT_EQ(config.model.input, (std::vector<int>{1, 30, 28}));
}

TEST(Override, AddsToASectionInShortForm) {
  const Config config = parse(minimal + "optimizer: adamw\n", {"optimizer.lr=0.5"});
  EXPECT_EQ(config.optimizer.rule, OptimizerRule(Adam{.decoupled = true}));
  EXPECT_EQ(config.optimizer.lr, 0.5f);
}

TEST(Override, RemovesAKey) {
  const std::string text = minimal + "train: {epochs: 3, global_batch: 7}\noptimizer: {lr: 0.5}\n";
  const Config config = parse(
                   text, {"~train.epochs", "~optimizer", "~seed", "~train.early_stop", "~model.layers[0]"}),
               initial;
  EXPECT_EQ(config.train.epochs, initial.train.epochs);
  EXPECT_EQ(config.train.global_batch, 7);
  EXPECT_EQ(config.optimizer.lr, initial.optimizer.lr);
  EXPECT_EQ(config.model.layers.size(), 1u);
  EXPECT_EQ(parse(text, {"~train.epochs", "train.epochs=9"}).train.epochs, 9);
}

TEST(Override, AnotherOptimizerOrScheduleDropsKeysOfTheFile) {
  const std::string text =
      minimal +
      "optimizer: {name: sgd, lr: 0.5, momentum: 0.9, nesterov: true, weight_decay: 0.1}\n"
      "schedule: {name: step, milestones: [1], gamma: 0.5}\n";
  std::vector<std::string> notes, none;
  const Config config = parse_config(
      text, "net.yaml", {"optimizer.name=adamw", "schedule.name=cosine", "optimizer.beta1=0.8"}, notes);
  EXPECT_EQ(config.optimizer.rule, OptimizerRule((Adam{.beta1 = 0.8f, .decoupled = true})));
  EXPECT_EQ(config.optimizer.lr, 0.5f);
  EXPECT_EQ(config.optimizer.weight_decay, 0.1f);
  EXPECT_EQ(config.schedule.name, ScheduleConfig::Name::cosine);
  EXPECT_EQ(notes, (std::vector<std::string>{
                       "command line: optimizer.name=adamw: ignores momentum of the file, which "
                       "goes only with name: sgd | rmsprop",
                       "command line: optimizer.name=adamw: ignores nesterov of the file, which "
                       "goes only with name: sgd",
                       "command line: schedule.name=cosine: ignores milestones, gamma of "
                       "the file, which go only with name: step"}));
  parse_config(text, "net.yaml", {"optimizer.lr=1"}, none);
  EXPECT_TRUE(none.empty());
  // What the command line itself says must fit, and so must what the file says by itself.
  EXPECT_NE(testing::refusal(text, {"optimizer.name=adamw", "optimizer.momentum=0.5"})
                .find("optimizer.momentum: only with name: sgd | rmsprop"),
            std::string::npos);
  EXPECT_NE(testing::refusal(minimal + "optimizer: {name: adam, momentum: 0.9}\n", {"optimizer.lr=1"})
                .find("optimizer.momentum: only with name: sgd | rmsprop"),
            std::string::npos);
}

/// A folder of classes at any path, so that nothing is set apart.
FoundData flat_folder(const std::string& path, const std::optional<std::string>&) {
  return {Source::folder, path + "/below", false};
}

TEST(Config, FillsInWhatTheFilesOfTheDataSay) {
  const std::string text = "model: {input: [3, 8, 8], layers: [flatten, linear: 3]}\n";
  std::vector<std::string> notes;
  const Config found = parse_config(text + "data: {path: pets}\n", "net.yaml", {}, notes, flat_folder);
  EXPECT_EQ(found.data.source, Source::folder);
  EXPECT_EQ(found.data.path, "pets/below");
  EXPECT_EQ(found.data.validation_fraction, 0.1);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_TRUE(notes[0].starts_with("data.path: pets/below: recognised as source: folder; a tenth of"));

  notes.clear();  // what is said stays
  const Config given = parse_config(text + "data: {source: folder, path: pets, validation: test}\n",
                                    "net.yaml", {}, notes, flat_folder);
  EXPECT_EQ(given.data.path, "pets");
  EXPECT_EQ(given.data.validation_fraction, 0);
  EXPECT_TRUE(notes.empty());

  // Without a path, and where nobody looks, nothing is filled in.
  EXPECT_EQ(parse_config(text + "data: {resident: false}\n", "net.yaml", {}, notes, flat_folder).data.source,
            Source::digits);
  EXPECT_EQ(parse_config(text + "data: {path: pets}\n", "net.yaml", {}, notes).data.source, Source::digits);
  EXPECT_TRUE(notes.empty());

  const auto nothing = [](const std::string&, const std::optional<std::string>&) -> FoundData {
    fail("nothing is there");
  };
  try {
    parse_config(text + "data: {path: pets}\n", "net.yaml", {}, notes, nothing);
    ADD_FAILURE() << "it is no data";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "net.yaml:2: data.path: nothing is there");
  }
}

TEST(Config, ANetworkByNameWithWeightsHasTheDefaultsOfFineTuning) {
  const std::string model = "model: {name: resnet18, init: weights.pth}\n";
  std::vector<std::string> notes;
  const Config bare = parse_config(model + "data: {source: folder, path: pets}\n", "net.yaml", {}, notes);
  EXPECT_EQ(bare.train.epochs, 20);
  EXPECT_EQ(bare.train.global_batch, 32);
  EXPECT_EQ(bare.optimizer.rule, OptimizerRule(Sgd{.momentum = 0.9f}));
  EXPECT_EQ(bare.optimizer.lr, 0.01f);
  EXPECT_EQ(bare.optimizer.weight_decay, 0.0001f);
  EXPECT_EQ(bare.schedule.name, ScheduleConfig::Name::cosine);
  EXPECT_EQ(bare.data.flip, Flip::horizontal);
  EXPECT_EQ(bare.data.resized_crop.min_scale, 0.08f);
  EXPECT_EQ(notes.size(), 1u);

  // The file and the command line say otherwise, of a key or of the whole rule.
  const Config other = parse_config(model +
                                        "data: {source: synthetic}\noptimizer: {name: adamw}\n"
                                        "schedule: constant\ntrain: {epochs: 3}\n",
                                    "net.yaml", {"train.global_batch=7"}, notes);
  EXPECT_EQ(other.train.epochs, 3);
  EXPECT_EQ(other.train.global_batch, 7);
  EXPECT_EQ(other.optimizer.lr, OptimizerConfig{}.lr);
  EXPECT_EQ(other.optimizer.weight_decay, 0);
  EXPECT_EQ(other.schedule.name, ScheduleConfig::Name::constant);
  EXPECT_EQ(other.data.flip, Flip::none) << "not of folders";
  EXPECT_EQ(notes.size(), 1u) << "nothing was left to fill in";

  // From scratch, and with layers of one's own, all is as before.
  EXPECT_EQ(parse_config("model: resnet18\n", "net.yaml", {}, notes).train.epochs, TrainConfig{}.epochs);
}

TEST(Override, LeavesItsOwnMark) {
  const Config config = parse(minimal, {"model.layers=[flatten, linear: 3]"});
  EXPECT_EQ(config.model.layers[1].mark.text(), "command line: model.layers=[flatten, linear: 3]");
}

}  // namespace
}  // namespace convoy
