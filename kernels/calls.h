// The calls a plan can hold, apart from those of a layer and from the collectives of comm/.
#pragma once

#include "core/type_list.h"
#include "kernels/augment.h"
#include "kernels/batchnorm.h"
#include "kernels/conv/conv.h"
#include "kernels/convert.h"
#include "kernels/elementwise.h"
#include "kernels/fold.h"
#include "kernels/fused.h"
#include "kernels/linear.h"
#include "kernels/loss.h"
#include "kernels/loss_scale.h"
#include "kernels/optimizer.h"
#include "kernels/parameter_hash.h"
#include "kernels/pool.h"
#include "kernels/probe.h"
#include "kernels/retouch.h"
#include "kernels/trust_ratios.h"

namespace convoy {

/// Calls that every engine has and that no layer has for itself (src/layers).
using CommonCalls = TypeList<Augment, Retouch, BiasGrad, Add, Fold, SoftmaxCrossEntropy, AccumulateMetrics,
                             ReportStep, CheckGradients, TrustRatios, OptimizerStep, AverageWeights, Convert,
                             ParameterHash, MultiplyAdd, Copy>;

/// Calls that an engine may lack.
using FusedCalls =
    TypeList<ConvActivation, ConvStatistics, LinearActivation, BatchNormActivation,
             BatchNormInferenceActivation, ActivationBiasGrad, MaxPoolActivationBackward,
             BatchNormActivationReduce, BatchNormActivationBackward, ActivationBatchNormReduce>;

}  // namespace convoy
