/* AAC: ADTS headers and AudioSpecificConfig.
 * Relies on common/buf.
 * Leaves the audio itself undecoded. */
#include "media/aac.h"

#include <errno.h>
#include <string.h>

#define SAMPLE_RATE_ESCAPE 15
#define OBJECT_TYPE_ESCAPE 31

/* samplingFrequencyIndex (table 1.18); 13 and 14 are reserved. */
static const uint32_t sample_rates[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                        22050, 16000, 12000, 11025, 8000,  7350};
#define SAMPLE_RATES (sizeof sample_rates / sizeof sample_rates[0])

/* Channels by channelConfiguration (table 1.19); 0 where it does not say. */
static const uint8_t channel_counts[16] = {0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0};

struct bits {
    const uint8_t *p;
    size_t n, at; /* bits there, bits read */
    bool bad;
};

static uint32_t get(struct bits *b, unsigned n)
{
    uint32_t v = 0;
    if (n > b->n - b->at) {
        b->bad = true;
        b->at = b->n;
        return 0;
    }
    for (; n > 0; n--, b->at++)
        v = v << 1 | (b->p[b->at / 8] >> (7 - b->at % 8) & 1u);
    return v;
}

int aac_parse_adts(const uint8_t *data, size_t len, struct aac_adts *adts)
{
    memset(adts, 0, sizeof *adts);
    if ((len >= 1 && data[0] != 0xFF) || (len >= 2 && (data[1] & 0xF6) != 0xF0))
        return -EBADMSG; /* syncword, layer 0 */
    if (len < 7)
        return -EAGAIN;
    unsigned rate_index = data[2] >> 2 & 0xF;
    adts->header_bytes = data[1] & 1 ? 7 : 9; /* protection_absent */
    adts->frame_bytes = (size_t)((data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5);
    adts->blocks = (data[6] & 3) + 1;
    if (rate_index >= SAMPLE_RATES || adts->frame_bytes < adts->header_bytes)
        return -EBADMSG;
    if (len < adts->header_bytes)
        return -EAGAIN;
    struct aac_config *config = &adts->config;
    config->object_type = (data[2] >> 6) + 1;
    config->sample_rate = sample_rates[rate_index];
    config->channel_config = (data[2] & 1) << 2 | data[3] >> 6;
    config->channels = channel_counts[config->channel_config];
    config->frame_length = 1024;
    return 0;
}

static unsigned get_object_type(struct bits *b)
{
    unsigned type = get(b, 5);
    return type == OBJECT_TYPE_ESCAPE ? 32 + get(b, 6) : type;
}

static uint32_t get_sample_rate(struct bits *b)
{
    unsigned index = get(b, 4);
    uint32_t rate = index == SAMPLE_RATE_ESCAPE ? get(b, 24)
                    : index < SAMPLE_RATES      ? sample_rates[index]
                                                : 0;
    if (rate == 0)
        b->bad = true;
    return rate;
}

/* Object types whose config goes on with GASpecificConfig() (4.4.1). */
static bool is_general_audio(unsigned type)
{
    return (type >= 1 && type <= 4) || type == 6 || type == 7 ||
           (type >= 17 && type <= 23 && type != 18);
}

int aac_parse_config(const uint8_t *data, size_t len, struct aac_config *config)
{
    struct bits b = {.p = data, .n = len < 64 ? 8 * len : 8 * 64};
    memset(config, 0, sizeof *config);
    config->object_type = get_object_type(&b);
    config->sample_rate = get_sample_rate(&b);
    config->channel_config = get(&b, 4);
    config->channels = channel_counts[config->channel_config];
    if (config->object_type == AAC_SBR || config->object_type == AAC_PS) {
        config->sbr = true;
        config->sbr_sample_rate = get_sample_rate(&b);
        config->object_type = get_object_type(&b);
    }
    if (config->object_type == 0)
        b.bad = true;
    if (!b.bad && is_general_audio(config->object_type))
        config->frame_length = get(&b, 1) ? 960 : 1024;
    return b.bad ? -EBADMSG : 0;
}

/* Packs bits into at most 8 bytes. */
struct packer {
    uint64_t v;
    unsigned n;
};

static void put(struct packer *p, uint32_t v, unsigned n)
{
    p->v = p->v << n | v;
    p->n += n;
}

static void put_sample_rate(struct packer *p, uint32_t rate)
{
    for (unsigned i = 0; i < SAMPLE_RATES; i++) {
        if (sample_rates[i] == rate) {
            put(p, i, 4);
            return;
        }
    }
    put(p, SAMPLE_RATE_ESCAPE, 4);
    put(p, rate, 24);
}

/* channelConfiguration for the struct, -EINVAL when there is none. */
static int channel_config_of(const struct aac_config *config)
{
    if (config->channel_config > 15)
        return -EINVAL;
    if (config->channel_config)
        return (int)config->channel_config;
    for (int i = 1; i < 16; i++)
        if (channel_counts[i] == config->channels && config->channels)
            return i;
    return -EINVAL;
}

int aac_build_config(struct buf *out, const struct aac_config *config)
{
    struct packer p = {0};
    uint8_t bytes[8];
    int channel_config = channel_config_of(config);
    unsigned type = config->object_type;
    /* Other types need more than this config says. */
    if (type < AAC_MAIN || type > AAC_LTP || channel_config < 0 || config->sample_rate == 0 ||
        config->sample_rate >= 1 << 24 ||
        (config->frame_length != 0 && config->frame_length != 1024 && config->frame_length != 960))
        return -EINVAL;
    put(&p, type, 5);
    put_sample_rate(&p, config->sample_rate);
    put(&p, (uint32_t)channel_config, 4);
    put(&p, config->frame_length == 960, 1);
    put(&p, 0, 2); /* dependsOnCoreCoder, extensionFlag */
    put(&p, 0, (8 - p.n % 8) % 8);
    unsigned n = p.n / 8;
    for (unsigned i = 0; i < n; i++)
        bytes[i] = (uint8_t)(p.v >> (8 * (n - 1 - i)));
    return buf_append(out, bytes, n);
}
