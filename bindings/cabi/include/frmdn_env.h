/* The native environments of FRMDN behind a C ABI (library frmdn_env_cabi, interface version 3).
 *
 * Functions that return int32_t return 0 or: -1 a wrong argument, -2 an action outside of the space,
 * -3 no episode is running, -4 the batch is in use by another thread, -5 a fault of the library
 * (close the batch), -6 the batch is closed, -7 too little memory. frmdn_last_error() returns the
 * message. Buffers hold one row per environment without gaps and do not overlap.
 *
 * A handle is a number. Any thread may use it, one call at a time. Closing a batch waits for the call
 * that is under way with it; a closed batch may be closed again, every other call with it returns -6.
 * A child that was forked has no batches: those of its parent are closed in it.
 */
#ifndef FRMDN_ENV_H
#define FRMDN_ENV_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t FrmdnCarRacing; /* a handle, never 0 */

typedef struct FrmdnSpaces {
    int64_t num_envs;
    int64_t observation[3]; /* height, width, channels */
    float action_low[3];    /* steer, gas, brake */
    float action_high[3];
    int64_t num_actions;    /* number of discrete actions; 0 if actions are continuous */
} FrmdnSpaces;

/* The buffers that a call writes, and the sizes that they have. */
typedef struct FrmdnRows {
    int64_t num_envs;          /* rows of every buffer of the call, those that it reads too */
    int64_t observation_bytes; /* bytes of a row of observations */
    uint8_t *observations;     /* [num_envs, height, width, 3] */
    double *rewards;           /* [num_envs] */
    uint8_t *terminated;       /* [num_envs], 0 or 1 */
    uint8_t *truncated;        /* [num_envs], 0 or 1 */
    uint32_t *progress;        /* [num_envs, 3]: tiles visited, all tiles, 1 if the lap was finished */
} FrmdnRows;

/* A stream of random numbers: numpy's PCG64().state. Its increment is odd. */
typedef struct FrmdnStream {
    uint64_t state[2];     /* upper and lower half of "state" */
    uint64_t increment[2]; /* upper and lower half of "inc" */
    uint32_t half;         /* "uinteger" */
    uint32_t has_half;     /* "has_uint32" */
} FrmdnStream;

/* The version of this interface: 3. */
uint32_t frmdn_abi_version(void);

/* The version of the library. */
const char *frmdn_version(void);

/* The message of the last failing call on this thread, UTF-8. Valid until the next failing call on
 * this thread. */
const char *frmdn_last_error(void);

/* Makes a batch of 1 to 4096 environments. config: NULL or a JSON object with any of
 * {"observation": "agent64" | "full96", "random_start": bool, "rule": "v3" | "v4", "max_steps": integer,
 *  "actions": "continuous" | "discrete", "domain_randomize": bool, "clip": bool}.
 * clip (true by default): continuous actions beyond the space act as the nearest inside of it; if
 * false they are refused. threads: 1 to 1024, 0 for one per core. Every environment must be reset
 * before its first step. */
int32_t frmdn_car_racing_create(int64_t num_envs, int64_t threads, const char *config, FrmdnCarRacing *out);

/* The sizes and ranges of the batch. */
int32_t frmdn_car_racing_spaces(FrmdnCarRacing handle, FrmdnSpaces *out);

/* Starts an episode where mask[i] != 0 (everywhere if mask is NULL), with reward and flags 0; other
 * rows stay as they are. It is the episode of seeds[i]; if streams is not NULL, it is drawn from
 * streams[i], which is moved on as Gymnasium's np_random is, and seeds[i] draws a random start alone.
 * keep_colors != 0 keeps the colours of randomised domains. */
int32_t frmdn_car_racing_reset(FrmdnCarRacing handle, const uint8_t *mask, const uint64_t *seeds,
                               FrmdnStream *streams, int32_t keep_colors, const FrmdnRows *rows);

/* Steps the batch with actions [num_envs, 3]; the first value of a row is its discrete action. If
 * resets is not NULL and resets[i] != 0, environment i starts an episode instead, as reset does;
 * without resets, seeds and streams are not read. Fails with -1, -2 or -3 before any environment
 * moves. */
int32_t frmdn_car_racing_step(FrmdnCarRacing handle, const double *actions, const uint8_t *resets,
                              const uint64_t *seeds, FrmdnStream *streams, const FrmdnRows *rows);

/* The picture of environment index for people, [height, width, 3]; width and height are 96 and 96
 * (Gymnasium's observation) or 600 and 400 (its rgb_array). */
int32_t frmdn_car_racing_picture(FrmdnCarRacing handle, int64_t index, int64_t width, int64_t height, uint8_t *out);

/* Frees the batch and its threads. A closed batch and 0 are left alone. */
int32_t frmdn_car_racing_close(FrmdnCarRacing handle);

#ifdef __cplusplus
}
#endif

#endif
