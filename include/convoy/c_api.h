/* libconvoy for other languages: networks that Convoy trained, as C functions. The Python module is made of
 * these.
 *
 * A function that may fail takes `message` of `capacity` bytes (NULL, 0: not wanted) and writes one sentence
 * for people there, cut to that size and ended by a zero. */
#ifndef CONVOY_C_API_H
#define CONVOY_C_API_H

#include <stddef.h>
#include <stdint.h>

#define CONVOY_C_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* A network with the weights of a checkpoint. Not for several threads at a time. */
typedef struct convoy_classifier convoy_classifier;

/* `path`: a run's folder or a checkpoint. `device`: "auto", "cpu" or "cuda". `best`: not 0: of a run, the
 * checkpoint with the best validation instead of the newest. `batch`: images that are computed at once, at
 * most. `threads`: on the CPU, at most; 0: one per core. NULL when it fails. */
CONVOY_C_API convoy_classifier* convoy_open(const char* path, const char* device, int best, int batch,
                                            int threads, char* message, size_t capacity);
/* NULL is allowed. */
CONVOY_C_API void convoy_close(convoy_classifier* classifier);

/* Pointers stay valid until convoy_close. */
CONVOY_C_API const char* convoy_checkpoint(const convoy_classifier* classifier);
/* For people: "cpu, 8 threads, avx512". */
CONVOY_C_API const char* convoy_device(const convoy_classifier* classifier);
CONVOY_C_API int convoy_classes(const convoy_classifier* classifier);
/* Of a label from 0 on; its number where the checkpoint has no names; NULL where there is no such label. */
CONVOY_C_API const char* convoy_class_name(const convoy_classifier* classifier, int label);
/* What the network takes: depth (1 for images), height, width, channels. */
CONVOY_C_API void convoy_input(const convoy_classifier* classifier, int shape[4]);

/* Each of these fills `probabilities` (count,classes) with the softmax of the scores, and returns 0, or -1
 * when it fails. */

/* `images`: bytes (count,D,H,W,C) of exactly the network's input. */
CONVOY_C_API int convoy_predict(convoy_classifier* classifier, const uint8_t* images, int64_t count,
                                float* probabilities, char* message, size_t capacity);
/* `images`: bytes (count,height,width,channels) of any size, 1 or 3 channels; resized and cut as files are.
 */
CONVOY_C_API int convoy_predict_resized(convoy_classifier* classifier, const uint8_t* images, int64_t count,
                                        int height, int width, int channels, float* probabilities,
                                        char* message, size_t capacity);
/* Image files. It fails when one of them is no good, and the message names it. */
CONVOY_C_API int convoy_predict_files(convoy_classifier* classifier, const char* const* files, int64_t count,
                                      float* probabilities, char* message, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
