/* test_forged_net.c: four validators with real chains and real drivers; one forges the result of an inference when its turn to propose
 * comes. The others vote nil, the round moves on, an honest block is decided, and the chain goes on without the forger, whose own
 * execution differs from what more than two thirds decided. */
#include "tests/unit/node/members_fixture.h"

static void run_sound_height(void)
{
    run_height();
    for (size_t i = 0; i < MEMBERS; i++) {
        if (members[i].failed != SB_OK) {
            fail_msg("member %zu: %s", i, members[i].diag.text);
        }
        assert_int_equal(members[i].decided_round, 0);
    }
}

/* forger_stops: what more than two thirds decided is invalid by its own execution: told by their votes, or by a block from sync. */
static void forger_stops(struct net *honest, uint64_t height)
{
    struct member *m = &members[outcast];
    assert_int_equal(net_head(&sides[outcast].n).height, height - 1);
    if (holds != NULL) {
        sb_bytes encoded;
        struct sb_commit commit;
        enum sb_driver_taken taken;
        assert_int_equal(
            honest->table->block(honest->table->ctx, &honest->f.arena, height, &encoded, &commit),
            SB_OK);
        assert_int_equal(m->failed, SB_OK);
        m->failed = sb_driver_sync_block(&taken, m->driver, encoded, &commit, &m->diag);
    }
    assert_int_equal(m->failed, SB_E_CORRUPT);
    assert_non_null(strstr(m->diag.text, "another receiptsRoot, stateRoot, extension root than"));
}

static void forge(void)
{
    struct sb_buf file;
    compile_example(&file, "digits_cnn.onnx", "digits_cnn_rows.npz");
    struct sb_model *model;
    fixture_check(&sides[0].n.f, sb_model_load(&model, sb_buf_bytes(&file), &sides[0].n.f.diag));
    size_t input_len = (size_t)sb_model_info(model)->input_bytes;
    size_t output_len = (size_t)sb_model_info(model)->output_bytes;
    sb_model_free(model);
    sb_hash id = deploy(sides, MEMBERS, run_sound_height, sb_buf_bytes(&file));
    sb_buf_fini(&file);

    uint8_t *input = sb_arena_zalloc(&sides[0].n.f.arena, input_len);
    uint8_t *output = sb_arena_zalloc(&sides[0].n.f.arena, output_len);
    send_inference(sides, MEMBERS, &id, sb_span(input, input_len));
    uint64_t height = net_head(&sides[0].n).height + 1;
    const struct sb_rotation *rotation = sb_chain_rotation(sides[0].n.f.chain, height);
    outcast = net_key_of(&sides[0].n,
                         &rotation->set.validators[sb_rotation_proposer(rotation, 0)].address);
    memset(output, 0x55, output_len);
    poison(&sides[outcast], &id, sb_span(input, input_len), sb_span(output, output_len));
    run_height();

    sb_hash decided = net_head(&sides[(outcast + 1) % MEMBERS].n).block_id;
    for (size_t i = 0; i < MEMBERS; i++) {
        if (i == outcast) {
            continue;
        }
        struct sb_application_head head = net_head(&sides[i].n);
        assert_int_equal(members[i].failed, SB_OK);
        assert_int_equal(head.height, height);
        assert_memory_equal(&head.block_id, &decided, 32);
        assert_true(members[i].decided_round >= 1);
        assert_int_equal(sb_chain_app_counters(sides[i].n.app).forged_results, 1);
        assert_int_equal(sb_driver_counters(members[i].driver).invalid_blocks, 1);
        assert_int_equal(count_lines(&sides[i], "receiptsRoot, stateRoot"), 1);
        const struct sb_rpc_block *block;
        fixture_check(&sides[i].n.f, sb_chain_block_number(&block, sides[i].n.f.chain, height));
        assert_int_equal(block->block.tx_count, 1); /* the inference, with its true result */
        sb_chain_block_release(sides[i].n.f.chain, block);
    }
    for (int i = 0; i < 3; i++) { /* three of four go on */
        run_height();
    }
    assert_int_equal(net_head(&sides[(outcast + 1) % MEMBERS].n).height, height + 3);
    forger_stops(&sides[(outcast + 1) % MEMBERS].n, height);
}

static void forger_gets_nil_and_the_next_round_decides_an_honest_block(void **state)
{
    (void)state;
    forge();
}

static bool is_precommit_to_outcast(const struct packet *packet)
{
    return packet->to == outcast && !packet->message.is_proposal &&
           packet->message.as.vote.type == SB_VOTE_PRECOMMIT;
}

static void forger_that_hears_no_votes_stops_at_the_block_from_sync(void **state)
{
    (void)state;
    holds = is_precommit_to_outcast;
    forge();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forger_gets_nil_and_the_next_round_decides_an_honest_block,
                                        members_setup, members_teardown),
        cmocka_unit_test_setup_teardown(forger_that_hears_no_votes_stops_at_the_block_from_sync,
                                        members_setup, members_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
