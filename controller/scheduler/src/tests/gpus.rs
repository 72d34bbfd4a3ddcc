//! GPUs.

use super::check;

#[test]
fn whole_cards_by_count_and_model() {
    check(
        "host a gpu=a0:L4:24 gpu=a1:L4:24
         host b gpu=b0:NVIDIA-A100:80 gpu=b1:NVIDIA-A100:80 gpu=b2:NVIDIA-A100:80
         group chat gpus=2 gpu-model=a100
         group small gpus=1 gpu-model=L4
         group train gpus=2 gpu-model=A100",
        "place chat#0@1 on b gpu b0 gpu b1: missing
         place small#0@1 on a gpu a0: missing
         wait train#0: needs 2 A100, 1 of 3 free; nearest is b (2 hosts ruled out: 2 by gpus)",
    );
}

#[test]
fn a_card_that_someone_uses_is_not_whole() {
    check(
        "host a gpu=a0:L4:24:1
         group chat gpus=1",
        "wait chat#0: needs 1 GPU, 0 of 1 free; nearest is a",
    );
}

#[test]
fn free_memory_counts_what_others_use_and_what_is_reserved() {
    check(
        "host a gpu=a0:L4:24:10
         group one gpu-memory=8 gpu-share=30
         group two gpu-memory=8 gpu-share=30
         alloc one#0 on a starting gpu=a0:30:8",
        "wait two#0: needs 1 GPU with 8.0 GiB free shared at 30%, 0 of 1 free; nearest is a",
    );
}

#[test]
fn shares_fill_one_card_before_the_next() {
    check(
        "host a gpu=a0:L4:24 gpu=a1:L4:24
         group small replicas=3 gpu-share=50
         group whole gpus=1",
        "place small#0@1 on a gpu a0 50%: missing
         place small#1@1 on a gpu a0 50%: missing
         place small#2@1 on a gpu a1 50%: missing
         wait whole#0: needs 1 GPU, 0 of 2 free; nearest is a",
    );
}

#[test]
fn every_card_means_all_of_them() {
    check(
        "host a gpu=a0:L4:24 gpu=a1:L4:24
         host b gpu=b0:L4:24
         host c
         group one gpus=all
         alloc two#0 on a healthy told-to-stop gpu=a1",
        "place one#0@1 on b gpu b0: missing",
    );
}

#[test]
fn a_card_that_does_not_say_its_memory_cannot_promise_any() {
    check(
        "host a gpu=a0:Radeon
         group one gpu-memory=1
         group two gpus=1",
        "place two#0@1 on a gpu a0: missing
         wait one#0: needs 1 GPU with 1.0 GiB free, 0 of 1 free; nearest is a",
    );
}

#[test]
fn hosts_with_cards_are_kept_for_those_who_need_them() {
    check(
        "host a gpu=a0:L4:24
         host b foreign-memory=2
         group web",
        "place web#0@1 on b: missing",
    );
}
