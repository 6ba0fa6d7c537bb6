#include "common/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_sha256(mn_digest digest, const char *hex)
{
    char text[65];
    mn_digest_hex(&digest, text);
    assert_string_equal(text, hex);
}

/* The messages and digests are those of FIPS 180-2, appendix B. */
static void digests_are_those_published_for_sha256(void **state)
{
    (void)state;
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    assert_sha256(mn_digest_of("abc", 3),
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_sha256(mn_digest_of(two_blocks, sizeof two_blocks - 1),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");

    char a[1000];
    mn_hasher hasher;
    memset(a, 'a', sizeof a);
    mn_hasher_init(&hasher);
    for (int i = 0; i < 1000; i++)
        mn_hasher_add(&hasher, a, sizeof a);
    assert_sha256(mn_hasher_finish(&hasher),
                  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void nothing_at_all_has_a_digest_and_a_checksum(void **state)
{
    (void)state;
    assert_sha256(mn_digest_of(NULL, 0),
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_true(mn_checksum(NULL, 0) == UINT64_C(0x2d06800538d394c2));
}

static void digest_does_not_depend_on_the_pieces(void **state)
{
    (void)state;
    unsigned char bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7);
    mn_digest whole = mn_digest_of(bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        mn_hasher hasher;
        mn_hasher_init(&hasher);
        mn_hasher_add(&hasher, bytes, cut);
        mn_hasher copy = hasher; /* a hasher may be copied, and both go on */
        mn_hasher_add(&hasher, bytes + cut, sizeof bytes - cut);
        mn_digest pieces = mn_hasher_finish(&hasher);
        assert_memory_equal(&pieces, &whole, sizeof whole);
        mn_digest begun = mn_hasher_finish(&copy), expected = mn_digest_of(bytes, cut);
        assert_memory_equal(&begun, &expected, sizeof expected);
    }
}

/* Of libxxhash 0.8; the format of XXH3 is fixed since 0.8.0. */
static void checksums_are_those_of_xxh3(void **state)
{
    (void)state;
    char zeros[1024] = {0};
    assert_true(mn_checksum("abc", 3) == UINT64_C(0x78af5f94892f3950));
    assert_true(mn_checksum(zeros, sizeof zeros) == UINT64_C(0xde5f15ab6daf7941));
}

static void checksum_sees_a_flip_of_any_bit(void **state)
{
    (void)state;
    unsigned char bytes[64] = {0};
    uint64_t before = mn_checksum(bytes, sizeof bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_true(mn_checksum(bytes, sizeof bytes) != before);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

static void hex_digits_are_read_back_and_nothing_else_is(void **state)
{
    (void)state;
    char text[65];
    char upper[65];
    const mn_digest digest = mn_digest_of("abc", 3);
    mn_digest back = {{0}};
    mn_digest_hex(&digest, text);
    assert_true(mn_digest_read(text, &back));
    assert_memory_equal(&back, &digest, sizeof back);
    for (size_t i = 0; i < sizeof text; i++)
        upper[i] = (char)(text[i] >= 'a' ? text[i] - 'a' + 'A' : text[i]);
    back = (mn_digest){{0}};
    assert_true(mn_digest_read(upper, &back));
    assert_memory_equal(&back, &digest, sizeof back);
    assert_false(mn_digest_read("", &back));
    assert_false(mn_digest_read(text + 1, &back));
    text[63] = 'g';
    assert_false(mn_digest_read(text, &back));
    text[63] = ' ';
    assert_false(mn_digest_read(text, &back));
    assert_memory_equal(&back, &digest, sizeof back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_digits_are_read_back_and_nothing_else_is),
        cmocka_unit_test(digests_are_those_published_for_sha256),
        cmocka_unit_test(nothing_at_all_has_a_digest_and_a_checksum),
        cmocka_unit_test(digest_does_not_depend_on_the_pieces),
        cmocka_unit_test(checksums_are_those_of_xxh3),
        cmocka_unit_test(checksum_sees_a_flip_of_any_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
