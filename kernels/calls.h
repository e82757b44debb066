// All calls a plan can hold, apart from the collectives of comm/.
#pragma once

#include "kernels/augment.h"
#include "kernels/batchnorm.h"
#include "kernels/conv/conv.h"
#include "kernels/convert.h"
#include "kernels/elementwise.h"
#include "kernels/fused.h"
#include "kernels/linear.h"
#include "kernels/loss.h"
#include "kernels/loss_scale.h"
#include "kernels/optimizer.h"
#include "kernels/parameter_hash.h"
#include "kernels/pool.h"
#include "kernels/probe.h"

namespace convoy {

template <class... Ts>
struct TypeList {};

/// Calls that every engine has.
using KernelCalls =
    TypeList<Augment, ConvForward, ConvDgrad, ConvWgrad, LinearForward, LinearDgrad, LinearWgrad, BiasGrad,
             MaxPoolForward, MaxPoolBackward, AvgPoolForward, AvgPoolBackward, BatchNormStatistics,
             BatchNormMoments, BatchNormRunning, BatchNormForward, BatchNormInference, BatchNormReduce,
             BatchNormBackward, ActivationForward, ActivationBackward, Dropout, Add, SoftmaxCrossEntropy,
             AccumulateMetrics, ReportStep, CheckGradients, SgdStep, AdamStep, AverageWeights, Convert,
             ParameterHash, MultiplyAdd, Copy>;

/// Calls that an engine may lack.
using FusedCalls =
    TypeList<ConvRectified, ConvStatistics, LinearRectified, BatchNormRectified, BatchNormInferenceRectified,
             ActivationBiasGrad, MaxPoolActivationBackward, BatchNormActivationReduce,
             BatchNormActivationBackward, ActivationBatchNormReduce>;

}  // namespace convoy
