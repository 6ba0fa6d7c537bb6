#include "worker/tasks/drawings.h"

#include <assert.h>

mn_status mn_drawings_open(mn_drawings *drawings, const mn_experiment *experiment,
                           mn_task_set_parts *parts, mn_error *err)
{
    *drawings = (mn_drawings){.seed = experiment->seed, .channels = 1};
    if (experiment->tasks.data[0] == '\0')
        return MN_OK;
    mn_status status = mn_open_image_pack(experiment, parts, &drawings->pack, err);
    if (status == MN_OK)
        drawings->channels = mn_image_pack_index(drawings->pack)->channels;
    return status;
}

mn_status mn_drawings_prepare(mn_drawings *drawings, const mn_experiment *experiment,
                              const mn_few_shot few_shot[MN_N_SPLITS], mn_error *err)
{
    return drawings->pack == NULL
               ? MN_OK
               : mn_image_tasks_of(drawings->pack, experiment, few_shot, &drawings->tables, err);
}

void mn_drawings_close(mn_drawings *drawings)
{
    mn_image_tasks_destroy(&drawings->tables);
    mn_image_pack_destroy(&drawings->pack);
}

mn_status mn_drawings_check(const mn_drawings *drawings, mn_split split, mn_error *err)
{
    return drawings->tables == NULL ? MN_OK : mn_image_tasks_check(drawings->tables, split, err);
}

/* Glyphs have no end of classes: numbers that differ are classes that do. */
static void choose_glyphs(mn_random *random, uint32_t way, uint32_t *classes)
{
    for (uint32_t i = 0; i < way; i++) {
        bool fresh;
        do {
            classes[i] = mn_random_u32(random);
            fresh = true;
            for (uint32_t other = 0; other < i; other++)
                fresh = fresh && classes[other] != classes[i];
        } while (!fresh);
    }
}

void mn_drawings_choose(const mn_drawings *drawings, mn_split split, mn_random *random,
                        uint32_t way, uint32_t *classes)
{
    if (drawings->tables == NULL)
        choose_glyphs(random, way, classes);
    else
        (void)mn_image_tasks_choose(drawings->tables, split, random, classes);
}

void mn_drawings_begin(const mn_drawings *drawings, mn_split split, mn_random *random,
                       uint32_t number, uint32_t each, mn_drawn_class *out)
{
    assert(each <= MN_DRAWINGS_MAX_EACH);
    out->split = split;
    out->number = number;
    if (drawings->tables == NULL)
        out->glyph = mn_glyph_make(drawings->seed, split, number);
    else
        mn_random_choose(random, mn_image_tasks_images(drawings->tables, split, number), each,
                         out->images);
}

void mn_drawings_show(const mn_drawings *drawings, const mn_drawn_class *class, mn_random *random,
                      uint32_t i, const mn_field *x, float *out)
{
    if (drawings->tables == NULL)
        mn_glyph_draw(&class->glyph, random, x->height, out);
    else
        mn_image_tasks_show(drawings->tables, class->split, random, class->number, class->images[i],
                            x, out);
}
