"""Every tolerance of the parity tests, in one place, each with the reason for its size."""

import transformers
from packaging.version import Version

# fp32 sums in another order, which differs by processor too: a few dozen roundings of 6e-8 of values near one.
FP32_LOGITS = 4e-6
# A fresh random base has embeddings of 0.02, which its first layer norm and softmax make much of: there PEFT's own fp32 logits
# are up to 4e-6 from those in fp64.
FP32_LOGITS_OF_FRESH_BASES = 2e-5
# Gradients go through twice as many sums; relative to the largest gradient of the model.
FP32_GRADIENTS = 2e-5
# Losses drift apart as roundings pass through AdamW's division by small moments, step after step; the Trainer of
# transformers 4 reports its training losses rounded to four digits.
FP32_LOSS_TRAJECTORY = 2e-5 if Version(transformers.__version__).major >= 5 else 7e-5
FP32_FINAL_WEIGHTS = 5e-4
# Our error in bf16 or fp16 against fp32, as a multiple of that of Transformers' own autocast.
HALF_ERROR_RATIO = 2.0
# An export's fp32 sums run in another order through the whole model; relative to the largest logit.
EXPORTED_LOGITS = 1e-5
# 8 bits a weight and an activation: half a step is 1/254 of the largest in a block of 32; relative to the largest logit.
INT8_LOGITS = 2e-2
