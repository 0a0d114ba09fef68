/* SPDX-License-Identifier: Apache-2.0 */
/* The generator against the values that docs/reference/nexmark.md publishes. */
#include "connectors/nexmark/tables.h"
#include "tests/unit/connectors/nexmark_events.h"

#define RATE 10000

static void the_words_are_those_published(void **state)
{
    (void)state;
    uint64_t root = random_word(0, 0), event = random_word(root, 4);
    assert_true(root == 0xe220a8397b1dcdafu);
    assert_true(random_word(root, 0) == 0xa706dd2f4d197e6fu);
    assert_true(event == 0xc9b5ae106698f0bbu);
    assert_true(random_word(event, 0) == 0xd02f113b25973ee4u);
    assert_true(random_word(event, 1) == 0xb80d7d2ad9c287f7u);
    assert_true(random_word(event, 2) == 0xe07d15807d8392bcu);
}

static void the_tables_are_those_published(void **state)
{
    (void)state;
    const struct generate_tables *t = generate_tables();
    struct sha256 sha;
    assert_memory_equal(t->letters, "xztihylweflmllquqshkogfyxvmngrmb", 32);
    sha256_init(&sha);
    sha256_update(&sha, t->letters, POOL_BYTES);
    assert_digest(&sha, "322c0a5e13ebee00d81704455a9d785a85bd30cf67b657379347df32eec60f6f");
    assert_memory_equal(t->text, "vxtnkurlooa icfhogitlgb itxgener", 32);
    sha256_init(&sha);
    sha256_update(&sha, t->text, POOL_BYTES);
    assert_digest(&sha, "25892690d77f21e52b479e97727e2777cd845f0ee8f9c945831554d9b0a99730");
    sha256_init(&sha);
    for (uint32_t i = 0; i < CHANNELS; i++) {
        const struct channel *c = &t->channels[i];
        sha256_update(&sha, c->name, c->name_len);
        sha256_update(&sha, ",", 1);
        sha256_update(&sha, c->url, c->url_len);
        sha256_update(&sha, "\n", 1);
    }
    assert_digest(&sha, "3899c7dd609db7f17cbee4f8af0ed105b6f893d74a7256329930cff08faabd6b");
}

/* Division by multiplication against the machine's, at the numbers where it could go wrong. */
static void division_is_exact(void **state)
{
    (void)state;
    uint64_t random = 5;
    for (int i = 0; i < 200000; i++) {
        uint64_t divisor = next_random(&random) >> next_random(&random) % 64, x = next_random(&random) >> next_random(&random) % 64;
        if (divisor == 0) divisor = 1;
        struct divide d = divide_by(divisor);
        assert_true(divide(&d, x) == x / divisor);
        uint64_t multiple = x / divisor * divisor;
        assert_true(divide(&d, multiple) == x / divisor);
        if (multiple) assert_true(divide(&d, multiple - 1) == (multiple - 1) / divisor);
        assert_true(divide(&d, UINT64_MAX) == UINT64_MAX / divisor);
    }
}

/* The row of event n as a CSV line without LF, made in a room whose end nothing may touch. */
static void assert_event(struct generate *g, uint64_t n, const char *expected)
{
    static const uint32_t rooms[EVENT_KINDS] = {GENERATE_BID_ROOM, GENERATE_AUCTION_ROOM, GENERATE_PERSON_ROOM};
    enum generate_kind kind = generate_kind(n);
    struct generate_draft draft = generate_begin(g, n, GENERATE_BID_FIELDS);
    void *row = malloc(rooms[kind]); /* a sanitizer sees what leaves it */
    weir_time time = generate_time(g, n);
    uint32_t size = kind == GENERATE_BID       ? generate_bid(g, &draft, time, GENERATE_BID_FIELDS, row)
                    : kind == GENERATE_AUCTION ? generate_auction(g, &draft, time, GENERATE_AUCTION_FIELDS, row)
                                               : generate_person(g, &draft, time, GENERATE_PERSON_FIELDS, row);
    assert_true(weir_row_valid(event_schemas[kind], row, size));
    struct text_buf buf = {0};
    assert_true(event_write(&buf, WEIR_NEXMARK_CSV, kind, row) && text_reserve(&buf, 1));
    buf.data[buf.len - 1] = '\0';
    if (expected) assert_string_equal(buf.data, expected);
    text_close(&buf);
    free(row);
}

static const char *const first_events[] = {
    "P,0,1000,Paul Spencer,napiv@bjfe.com,2774 3940 8612 9025,Redmond,OR,1700006392863,gscvukbhlzfqasmraogevegcvmgj"
    "xhjunapwqvfuuoueelcpqdhvzywvwplywaowskdaqvxqhdbxsybvpmxxfatwbtgnfcvqhvncijbzcqajyxttjojgpkyekwmcdgqytttmirviye"
    "hoyabc",
    "A,1,1000,hdprqxw, llixpadfaady dil apqtpyv zdopiujeetxlbltvhlmdhbherlsovsxspsyopwgqsht,53827,88116267,17000063"
    "92863,1700006393071,1002,12,csubrfdergcvfgcgqmlyosqefwuuyqwjhrzimaqjtiqahzgojvzvijpnjnswbykzpqlnfdhezbkaejoval"
    "laggfvoqxbbilvodmpeulbaldbaymyhvjlnwampqttsrhkbsphrwstipubztdhfeaojnahxvhqyhufgnoqkhqjwzhptnncminmbxrlptlaacci"
    "oplhllzkqodbcfpjgoxafpnnlugzsokwdokagwiygomsxwtzdtbdptyuhbomknigzojhanbhciwukiykvrhqmktbedaaneybbsxzzqdoujofdu"
    "qojjpbjxmwswmjraddaistjhjehwvjlmmhz",
    "A,2,1001,vb lpmgux,tvquqrmutjq daxhabozpvjwsdiccu aupceaswmykxcycssbj,1129085,63313235,1700006392863,170000639"
    "2999,1000,12,qpsffbqmpfwufxtfkartbvmawbienujghhidlnzxuxcttxkvntenpbgztspxrbhcgrozhynpwqynskmtwznoryxcbweqqrfne"
    "bkgjzjoibadythjjuttdnglrneschaxwlbfsrywsabxzvmuhpavbhybbrzjwmngbgkcvqxwyyxhnogphrqytrhhehneuujisymrwhqwgmzkdkl"
    "feocpuwhaqpqdeexivopvaofbhlnwnxoodlpfzfrphqdlfrqexfokapbeezlzlprkzirbfalmuvqbekguqqrnxhmyddjarmrectuzvwlqokiza"
    "pvdhzccsciwgolralhufuhsuhhwfvaolwzbmkbzpsxlkbpudoatskbczxhmehfsnybbkhbrxnqsixrmlvhoyfavaaxjwo",
    "A,3,1002, egqywlr ggslqfk,fir iuznseitjlhivqcid lbuzvwtpdaofgstuotll isizswk vahfptfkwbujddnpfeexezghsoygmp,98"
    "10,4221807,1700006392863,1700006393106,1000,11,sodjxxnkagirnswovkizwtcllkkreiygetiatfbceknuunancijmhadljvxovoe"
    "maonwkabjhqihaldmkkwqwajvysviehehwuezbzxaucqwlcktzmlfvmoecketczwdhvsasecywasdrkwedrpaccpuoqkukluytwasdwldivpba"
    "nsefkwvxslgpmgrnowymgqbzinskpnzlzvowrphkpcjuuqbalrprkvbhsfvizmwnctxthbpgnvyldgheaaygodebjsjlsyerebcfeaojrpxbmw"
    "nizukeobtwtiryyamvjwousylkeypcjoeeyxijurqsxmgkselceajhmlzzhcxjlafidtiwqjececelyqdkzxshctlgc",
    "B,4,1010,1001,19664350,channel-3766,https://www.nexmark.com/ohb/k_bx/kjd/item.htm?query=1&channel_id=183605657"
    "6,1700006392863,vgcwoyhlozfjixeahhdagjwiwlaxyyhfzskycgvjxvhrerafdehlyurytgosnaglialrgultijdwdttbq",
    "B,5,1002,1001,65929540,Apple,https://www.nexmark.com/tvz/egg/arh_/item.htm?query=1,1700006392863,ctoaxlmdtcwta"
    "hjcwgoycwnlunndlbyoweuxhttcycsyulawqogjlsejjemvkkyvpykpfkiqxcb",
    "B,6,1004,1001,1905687,Google,https://www.nexmark.com/otr/pli/vm_w/item.htm?query=1,1700006392863,emuzngnyowzyu"
    "gqdwdqvwgkhcuawpxyetarbkwmabcpauoasksmtkcipcrywermd",
    "B,7,1009,1001,19207,channel-5754,https://www.nexmark.com/hlbc/umsj/ivp/item.htm?query=1&channel_id=1583874048,"
    "1700006392863,ygxcpuvybawmwridzyzcbyinjimarbwoqmhxhsanxbikybpmpuuzjgcgfpr",
    "B,8,1009,1000,71288900,channel-4821,https://www.nexmark.com/_xrp/esm_/erec/item.htm?query=1&channel_id=2873622"
    "528,1700006392863,uulqtgnckllgcbntetsdiylqrzphfsowfxmcmbyvughevgzknhpshemwgvastlzydurnc",
    "B,9,1000,1001,10935,channel-4373,https://www.nexmark.com/zqt/fal/bdap/item.htm?query=1&channel_id=2827485184,1"
    "700006392863,pbajqbqwqpdeppdvakzblfskrxhfdlymucuyrbsfavqlridadnbwbrbiznxmhtcwbcqfcjfdojh",
    "B,10,1002,1003,223,Baidu,https://www.nexmark.com/poel/uzo_/vnru/item.htm?query=1,1700006392864,qkyszqxouhzmegm"
    "toqarrlbmpycfmsbrokqkwxyvtctemydnuvxmvro",
    "B,11,1000,1001,2922616,Apple,https://www.nexmark.com/tvz/egg/arh_/item.htm?query=1,1700006392864,ujtzlpulrjixn"
    "fzddmnquascwyokhnoofizeckjrbrzwqwnmsvfvcgmzlbvsczhtvozii",
    "B,12,1002,1001,99790,Baidu,https://www.nexmark.com/poel/uzo_/vnru/item.htm?query=1,1700006392864,unaqzffbeqcmc"
    "ntfopghgndorjijpjmmskkqfjyvusqeurnzyzyszjnqnyuopygyuppowfv",
    "B,13,1000,1001,3494,channel-8333,https://www.nexmark.com/bjd/lve/g_yc/item.htm?query=1&channel_id=2969829376,1"
    "700006392864,rivbyloktuqmqgzndeezigscvukbhlzfqasmraogevegcvmgjxhjunapwqvfuuoueelcpqdhvz",
    "B,14,1000,1002,157297,Google,https://www.nexmark.com/otr/pli/vm_w/item.htm?query=1,1700006392864,hacbzzkqsqkpi"
    "tzusbtntajiunoilwrlitgizlawbjvplajdvjmbbohcymncmuxpkxgonxfvkte",
    "B,15,1000,1001,85088,Apple,https://www.nexmark.com/tvz/egg/arh_/item.htm?query=1,1700006392864,gtliwemurkqrrlz"
    "bgnyzwihuhnyfpxsqsvrdofukxaeqaasaminnyt",
    "B,16,1004,1001,200057,channel-2655,https://www.nexmark.com/hbna/yvfa/rxvb/item.htm?query=1,1700006392864,jgqer"
    "mqrxaywbtshuupkkyiwyehmeorrmcqutwuneuslghsivfjmllmizlarrrvjsnmmopehpqrnwnsbm",
    "B,17,1009,1009,113,Google,https://www.nexmark.com/otr/pli/vm_w/item.htm?query=1,1700006392864,qtwuxasafrfnkbnm"
    "ixqpgilowryoesqkakrqyyyjzigxbzuvqfaphnuelqjjimbdjlrwayoz",
    "B,18,1000,1005,3648873,Google,https://www.nexmark.com/otr/pli/vm_w/item.htm?query=1,1700006392864,yrpeowuvsylm"
    "owbjcxhnguxanooxehnumyeabljgrvjrekhcnpvwycmldycxgpfngngwvjkhxnyrtblc",
    "B,19,1000,1003,7673500,Baidu,https://www.nexmark.com/poel/uzo_/vnru/item.htm?query=1,1700006392864,kyhalapamzr"
    "lgwbpkjlkxbqpnpgmejuvwjbkhkbmnrwceultxgjxbeltenplckdxdcvyzjxs",
};

static void the_first_events_are_those_published(void **state)
{
    (void)state;
    struct generate g;
    generate_init(&g, 0, 100000, RATE, 1);
    for (uint64_t n = 0; n < sizeof first_events / sizeof *first_events; n++) assert_event(&g, n, first_events[n]);
}

static void a_far_event_is_the_one_published(void **state)
{
    (void)state;
    struct generate g;
    generate_init(&g, UINT64_MAX, WEIR_NEXMARK_EVENTS_MAX, RATE, 1);
    assert_event(&g, 1000000000004u,
                 "B,1000000000004,60000000974,20000001001,20253,Facebook,https://www.nexmark.com/uqxz/hmr/xgco/item.htm?query=1,"
                 "1800006392863,mjlisvskyydclsjfqiiylagfnpwutukbxrsthinsltpcopmhhlxffzklgcymeimwyph");
}

/* Many events of many runs stay within their rooms, the last possible ones among them. */
static void rows_stay_in_their_rooms(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct generate g;
        generate_init(&g, seed, WEIR_NEXMARK_EVENTS_MAX, 1 + seed * seed, 1);
        for (uint64_t n = seed * 1000; n < seed * 1000 + 1000; n++) assert_event(&g, n, NULL);
        for (uint64_t n = WEIR_NEXMARK_EVENTS_MAX - 100; n < WEIR_NEXMARK_EVENTS_MAX; n++) assert_event(&g, n, NULL);
    }
}

static void arrival_order_is_the_one_published(void **state)
{
    (void)state;
    struct generate g;
    generate_init(&g, 0, 2500, 3000, 1000);
    static const uint64_t first[] = {0, 953, 906, 859};
    for (uint64_t p = 0; p < 4; p++) assert_true(generate_event_at(&g, p) == first[p]);
    assert_true(generate_event_at(&g, 999) == 47);
    assert_true(generate_event_at(&g, 1001) == 1953);
    assert_true(generate_event_at(&g, 2499) == 2499);
}

/* Whatever the group is: each event once, and none behind the watermark stated before it. */
static void arrival_order_is_a_permutation(void **state)
{
    (void)state;
    static const uint64_t groups[] = {1, 2, 7, 50, 952, 954, 1000, 2499, 2500, 2501};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct generate g;
        bool seen[2500] = {false};
        generate_init(&g, 0, 2500, 7, groups[i]);
        for (uint64_t p = 0; p < 2500; p++) {
            uint64_t n = generate_event_at(&g, p);
            assert_true(n < 2500 && !seen[n]);
            seen[n] = true;
            if (p) assert_true(generate_time(&g, n) > generate_watermark(&g, p - 1));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_words_are_those_published),
        cmocka_unit_test(the_tables_are_those_published),
        cmocka_unit_test(division_is_exact),
        cmocka_unit_test(the_first_events_are_those_published),
        cmocka_unit_test(a_far_event_is_the_one_published),
        cmocka_unit_test(rows_stay_in_their_rooms),
        cmocka_unit_test(arrival_order_is_the_one_published),
        cmocka_unit_test(arrival_order_is_a_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
