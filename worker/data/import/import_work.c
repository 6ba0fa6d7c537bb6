#include "worker/data/import/import_work.h"

#include "worker/data/image_pack.h"
#include "worker/data/import/import_splits.h"
#include "worker/data/import/import_survey.h"
#include "worker/data/import/picture_decode.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NAMED 100u /* damaged pictures that are told one by one */
#define LOOK_EVERY 32u  /* of these pictures one is looked at for colours that grey does not see */

static void step(mn_import_work *work, uint32_t n_all);
static mn_status refuse_or_leave_damage(mn_import_work *work, mn_error *err);
static mn_status write_pack(const mn_import_work *work, const mn_pack_index *index, mn_error *err);

mn_status mn_import_work_begin(mn_import_work *work, const mn_import_options *options,
                               const char *output, const mn_import_progress *progress,
                               mn_import_report *report, mn_error *err)
{
    const uint32_t side = options->image_size, channels = options->channels;
    *work = (mn_import_work){
        .options = options, .progress = progress, .report = report, .output = output};
    *report = (mn_import_report){0};
    if (side == 0 || side > MN_PACK_MAX_SIDE || (channels != 1 && channels != 3))
        return mn_fail(err, MN_ERR_USAGE,
                       "images of %" PRIu32 " pixels a side and %" PRIu32
                       " channels; expected 1 to %u pixels, 1 or 3 channels",
                       side, channels, MN_PACK_MAX_SIDE);
    work->pixels = malloc((size_t)side * side * 3);
    if (work->pixels == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "an image of %" PRIu32 " pixels a side", side);
    return mn_pixel_store_new((size_t)side * side * channels, options->dry_run ? NULL : output,
                              &work->store, err);
}

void mn_import_work_fini(mn_import_work *work)
{
    mn_import_list_fini(&work->list);
    mn_pixel_store_destroy(&work->store);
    free(work->pixels);
    work->pixels = NULL;
}

mn_status mn_import_work_decode(mn_import_work *work, const void *bytes, size_t n,
                                const char *where, uint32_t n_all, uint64_t *place,
                                mn_picture_facts *facts, bool *damaged, mn_error *err)
{
    const mn_import_options *options = work->options;
    const size_t n_pixels = (size_t)options->image_size * options->image_size;
    mn_error why = {0};
    *damaged = false;
    if (options->channels == 1 && work->n_seen % LOOK_EVERY == 0 &&
        mn_picture_read(bytes, n, options->image_size, 3, false, where, work->pixels, NULL) ==
            MN_OK) {
        work->n_looked_at++;
        work->n_coloured += mn_picture_is_coloured(work->pixels, n_pixels);
    }
    mn_status status =
        mn_picture_read_facts(bytes, n, options->image_size, options->channels,
                              options->dark_is_ink, where, work->pixels, facts, &why);
    step(work, n_all);
    if (status == MN_ERR_DATA) {
        mn_import_work_damaged(work, why.message);
        *damaged = true;
        return MN_OK;
    }
    if (status != MN_OK)
        return mn_fail(err, status, "%s", why.message);
    return mn_pixel_store_add(work->store, work->pixels, place, err);
}

void mn_import_work_damaged(mn_import_work *work, const char *why)
{
    const mn_import_options *options = work->options;
    if (work->n_damaged++ == 0)
        (void)mn_fail(&work->first_damage, MN_ERR_DATA, "%s", why);
    if (!options->skip_damaged)
        return;
    mn_import_report_leave(work->report, "damaged pictures", "", why);
    if (options->describe != NULL && work->n_damaged <= MOST_NAMED)
        (void)fprintf(options->describe, "left: %s\n", why);
}

/* In place: the n grey pixels end up where n / 3 of colour were. */
static void make_grey(uint8_t *pixels, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pixels[i] = mn_luma(pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]);
}

mn_status mn_import_work_keep(mn_import_work *work, uint8_t *pixels, uint32_t height,
                              uint32_t width, uint32_t channels, uint32_t n_all, uint64_t *place,
                              mn_error *err)
{
    const mn_import_options *options = work->options;
    const uint32_t side = options->image_size;
    const size_t n_small = (size_t)side * side;
    if (options->dark_is_ink)
        for (size_t i = 0; i < (size_t)height * width * channels; i++)
            pixels[i] = (uint8_t)(255 - pixels[i]);
    if (channels == 3 && options->channels == 1) { /* grey first, as of pictures in files */
        make_grey(pixels, (size_t)height * width);
        channels = 1;
    }
    mn_picture_scale(pixels, height, width, channels, side, work->pixels);
    if (channels < options->channels) /* from the end, which is not needed any more */
        for (size_t i = n_small; i-- > 0;)
            memset(work->pixels + 3 * i, work->pixels[i], 3);
    step(work, n_all);
    return mn_pixel_store_add(work->store, work->pixels, place, err);
}

static void step(mn_import_work *work, uint32_t n_all)
{
    work->n_seen++;
    if (work->progress != NULL && (work->n_seen % 256 == 0 || work->n_seen == n_all))
        work->progress->call(work->progress->user, (uint32_t)work->n_seen, n_all);
}

mn_status mn_import_work_finish(mn_import_work *work, const char *where, const char *part_words,
                                mn_error *err)
{
    const mn_import_options *options = work->options;
    mn_import_list *list = &work->list;
    mn_status status = refuse_or_leave_damage(work, err);
    if (status == MN_OK && options->least > 1)
        mn_import_list_leave_small(list, options->least, work->report);
    if (status == MN_OK)
        status = mn_import_list_arrange(
            list, where,
            "a test needs classes that training has not seen: move its pictures together, or give "
            "--shares (as 0.6,0.2,0.2) to put each class together and share the classes out",
            err);
    if (status == MN_OK)
        status = mn_import_splits_make(list, options, part_words, work->report, err);
    if (status != MN_OK)
        return status;
    const mn_pack_index index = mn_import_list_index(list, options->image_size, options->channels);
    status = mn_import_survey(work, &index, options->describe, err);
    if (status != MN_OK || options->dry_run)
        return status;
    return write_pack(work, &index, err);
}

static mn_status refuse_or_leave_damage(mn_import_work *work, mn_error *err)
{
    mn_import_list_sweep(&work->list);
    if (work->n_damaged == 0 || work->options->skip_damaged) {
        if (work->n_damaged > MOST_NAMED && work->options->describe != NULL)
            (void)fprintf(work->options->describe, "left: %" PRIu64 " more that are damaged\n",
                          work->n_damaged - MOST_NAMED);
        return MN_OK;
    }
    if (work->n_damaged == 1)
        return mn_fail(err, MN_ERR_DATA, "%s; mend it, or leave it out with --skip-damaged",
                       work->first_damage.message);
    return mn_fail(err, MN_ERR_DATA,
                   "%s; %" PRIu64 " more are damaged; mend them, or leave them out with "
                   "--skip-damaged",
                   work->first_damage.message, work->n_damaged - 1);
}

static mn_status write_pack(const mn_import_work *work, const mn_pack_index *index, mn_error *err)
{
    mn_pack_writer *writer = NULL;
    mn_status status = mn_pack_writer_new(work->output, index, &writer, err);
    for (uint32_t i = 0; i < work->list.n_items && status == MN_OK; i++) {
        status = mn_pixel_store_get(work->store, work->list.items[i].entry, work->pixels, err);
        if (status == MN_OK)
            status = mn_pack_writer_add(writer, work->pixels, err);
    }
    if (status == MN_OK)
        status = mn_pack_writer_finish(&writer, err);
    mn_pack_writer_abandon(&writer);
    return status;
}
