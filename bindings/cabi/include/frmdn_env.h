/* The native environments of FRMDN behind a C ABI (library frmdn_env_cabi, interface version 2).
 *
 * Functions that return int32_t return 0 or: -1 a wrong argument, -2 an action outside of the space,
 * -3 no episode is running, -4 the handle is in use by another thread, -5 a fault of the library
 * (close the handle). frmdn_last_error() returns the message. Buffers hold one row per environment
 * without gaps and do not overlap.
 */
#ifndef FRMDN_ENV_H
#define FRMDN_ENV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FrmdnCarRacing FrmdnCarRacing;

typedef struct FrmdnSpaces {
    size_t n_envs;
    size_t observation[3]; /* height, width, channels */
    size_t picture[3];     /* height, width, channels */
    float action_low[3];   /* steer, gas, brake */
    float action_high[3];
    size_t n_actions;      /* number of discrete actions; 0 if actions are continuous */
} FrmdnSpaces;

/* The version of this interface: 2. */
uint32_t frmdn_abi_version(void);

/* The version of the library. */
const char *frmdn_version(void);

/* The message of the last failing call on this thread, UTF-8. Valid until the next failing call on
 * this thread. */
const char *frmdn_last_error(void);

/* Makes a batch. config: NULL or a JSON object with any of
 * {"observation": "agent64" | "full96", "random_start": bool, "rule": "v3" | "v4", "max_steps": integer,
 *  "actions": "continuous" | "discrete", "domain_randomize": bool}.
 * threads: 0 for one per core. Every environment must be reset before its first step. */
int32_t frmdn_car_racing_create(size_t n_envs, size_t threads, const char *config, FrmdnCarRacing **out);

/* The sizes and ranges of the batch. */
int32_t frmdn_car_racing_spaces(const FrmdnCarRacing *handle, FrmdnSpaces *out);

/* Starts the episode of seed in environment index. observation: [height, width, 3]; progress: [3] =
 * tiles visited, all tiles, 1 if the lap was finished. */
int32_t frmdn_car_racing_reset_one(const FrmdnCarRacing *handle, size_t index, uint64_t seed, uint8_t *observation,
                                   uint32_t *progress);

/* Starts the episode of seeds[i] where mask[i] != 0 (everywhere if mask is NULL); other rows stay as
 * they are. */
int32_t frmdn_car_racing_reset(const FrmdnCarRacing *handle, const uint8_t *mask, const uint64_t *seeds,
                               uint8_t *observations, uint32_t *progress);

/* Steps the batch with actions [n, 3]. If resets is not NULL and resets[i] != 0, environment i starts
 * the episode of seeds[i] instead: reward 0, flags 0. Fails with -2 or -3 before any environment
 * moves. */
int32_t frmdn_car_racing_step(const FrmdnCarRacing *handle, const float *actions, const uint8_t *resets,
                              const uint64_t *seeds, uint8_t *observations, double *rewards, uint8_t *terminated,
                              uint8_t *truncated, uint32_t *progress);

/* The picture of environment index for people, [96, 96, 3]. */
int32_t frmdn_car_racing_picture(const FrmdnCarRacing *handle, size_t index, uint8_t *out);

/* Frees the batch and its threads. NULL is allowed. */
int32_t frmdn_car_racing_close(FrmdnCarRacing *handle);

#ifdef __cplusplus
}
#endif

#endif
