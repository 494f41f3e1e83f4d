; Levels are made from a number. A level is a list of segments, each with something to get past and
; some flat ground before it; which ones, how wide and how high is drawn by a shift register.

.segment "CODE"

; The next random byte, in A. A shift register of 32 bits (Galois), eight steps.
random_next:
    ldy #8
@bit:
    lsr random+3
    ror random+2
    ror random+1
    ror random
    bcc @zero
    lda random+3
    eor #$80
    sta random+3
    lda random+2
    eor #$20
    sta random+2
    lda random
    eor #$03
    sta random
@zero:
    dey
    bne @bit
    lda random
    rts

; Makes the level of `level_seed`.
level_make:
    ldx #0
@clear:
    lda #GROUND
    sta solid,x
    lda #0
    sta blocks,x
    inx
    cpx #COLUMNS
    bne @clear
    ; The register must not be zero, and similar seeds must not give similar levels: every byte of
    ; the seed is added between turns of it.
    lda #$5D
    ldx #3
@start:
    sta random,x
    dex
    bpl @start
    ldx #0
@mix:
    jsr random_next
    eor level_seed,x
    sta random
    jsr random_next
    jsr random_next
    inx
    cpx #4
    bne @mix
    lda random
    ora random+1
    ora random+2
    ora random+3
    bne @fine
    inc random
@fine:
    lda #10
    sta column
level_segment:
    ; Three to six columns of flat ground.
    jsr random_next
    and #3
    clc
    adc #3
    adc column
    sta column
    cmp #168
    bcs level_end
    jsr random_next
    and #15
    asl a
    tax
    lda segments+1,x
    pha
    lda segments,x
    pha
    rts                     ; to the segment, which returns to the next line
segment_done:
    jmp level_segment
level_end:
    rts

.segment "RODATA"
segments:
    .word pit-1, pit-1, hedge-1, hedge-1, walkers-1, walkers-1, spiked-1, spiked-1
    .word hopper-1, stairs-1, plateau-1, bridge-1, pillars-1, garden-1, wall-1, den-1
.segment "CODE"

; A random number 0 to 2, in A.
random_3:
    jsr random_next
    and #3
    cmp #3
    bne @done
    lsr a
@done:
    rts

; Puts an enemy (A: 1 walker, 2 spiked, 3 hopper) into column X.
enemy_put:
    lsr a
    bcc @high
    pha
    lda solid,x
    ora #ENEMY_LOW
    sta solid,x
    pla
@high:
    lsr a
    bcc @done
    lda blocks,x
    ora #ENEMY_HIGH
    sta blocks,x
@done:
    rts

; Writes A into Y columns of the ground from column X on; X is then the column behind.
ground_put:
    sta solid,x
    inx
    dey
    bne ground_put
    rts

; A pit of two to four columns, sometimes with coins above.
pit:
    jsr random_3
    clc
    adc #2
    sta t0
    jsr random_next
    sta t1
    ldx column
    ldy t0
    lda #0
    jsr ground_put
    lda t1
    bmi @done
    ldx column
    ldy t0
    lda #COIN + 8
@coin:
    sta blocks,x
    inx
    dey
    bne @coin
@done:
    lda column
    clc
    adc t0
    sta column
    jmp segment_done

; A hedge, two or three blocks above the ground.
hedge:
    jsr random_next
    and #1
    ldx column
    jsr hedge_put
    stx column
    jmp segment_done

; Puts a hedge at column X, A 0 or 1 for its height.
hedge_put:
    clc
    adc #GROUND + 2 + HEDGE_LEFT
    sta solid,x
    adc #HEDGE_RIGHT - HEDGE_LEFT
    inx
    sta solid,x
    inx
    rts

; One or two walkers under some blocks.
walkers:
    jsr random_next
    sta t1
    lda column
    clc
    adc #5
    tax
    lda #WALKER
    jsr enemy_put
    lda t1
    bmi @blocks
    inx
    inx
    lda #WALKER
    jsr enemy_put
@blocks:
    lda t1
    ldx column
    inx
    ldy #4
@block:
    lsr a
    pha
    lda #BRICK + 8
    bcc @put
    lda #LUCKY + 8
@put:
    sta blocks,x
    pla
    inx
    dey
    bne @block
    lda column
    clc
    adc #8
    sta column
    jmp segment_done

; A spiked one on flat ground, with coins where a jump passes.
spiked:
    jsr random_3
    clc
    adc column
    tax
    inx
    inx
    lda blocks,x
    ora #COIN + 7
    sta blocks,x
    lda #SPIKED
    jsr enemy_put
    inx
    lda #COIN + 7
    sta blocks,x
    inx
    inx
    stx column
    jmp segment_done

; One that hops.
hopper:
    jsr random_3
    clc
    adc column
    tax
    inx
    lda #HOPPER
    jsr enemy_put
    inx
    inx
    stx column
    jmp segment_done

; Stairs of stone, up to a pit.
stairs:
    jsr random_next
    and #1
    clc
    adc #2
    sta t0                  ; columns of the pit
    jsr random_next
    and #1
    sta t1
    ldx column
    ldy #2
    lda #STONE + GROUND + 1
    jsr ground_put
    ldy #2
    lda #STONE + GROUND + 2
    jsr ground_put
    lda t1
    beq @pit
    ldy #2
    lda #STONE + GROUND + 3
    jsr ground_put
@pit:
    ldy t0
    lda #0
    jsr ground_put
    stx column
    jmp segment_done

; Higher ground with an enemy on it.
plateau:
    jsr random_next
    and #1
    clc
    adc #GROUND + 1
    sta t0
    jsr random_next
    and #HOPPER - WALKER
    ora #WALKER
    sta t1                  ; which enemy
    ldx column
    ldy #8
    lda t0
    jsr ground_put
    stx t0
    dex
    dex
    lda t1
    jsr enemy_put
    ldx t0
    stx column
    jmp segment_done

; A wide pit with a plank of three columns in the middle.
bridge:
    jsr random_next
    and #1
    clc
    adc #PLANK + GROUND
    sta t0
    jsr random_next
    and #1
    sta t1
    ldx column
    ldy #8
    lda #0
    jsr ground_put
    lda column
    clc
    adc #2
    adc t1
    tax
    lda t0
    sta blocks,x
    sta blocks+1,x
    sta blocks+2,x
    lda column
    clc
    adc #8
    sta column
    jmp segment_done

; Two pillars of stone with pits around them.
pillars:
    jsr random_next
    and #1
    clc
    adc #STONE + GROUND + 1
    sta t0
    jsr random_next
    and #1
    clc
    adc #STONE + GROUND + 1
    sta t1
    ldx column
    ldy #2
    lda #0
    jsr ground_put
    ldy #2
    lda t0
    jsr ground_put
    ldy #2
    lda #0
    jsr ground_put
    ldy #2
    lda t1
    jsr ground_put
    ldy #2
    lda #0
    jsr ground_put
    stx column
    jmp segment_done

; Two hedges with an enemy between them.
garden:
    jsr random_3
    clc
    adc #1
    sta t0
    ldx column
    lda #0
    jsr hedge_put
    inx
    inx
    inx
    inx
    lda t0
    jsr enemy_put
    inx
    inx
    lda #0
    jsr hedge_put
    stx column
    jmp segment_done

; A wall of stone behind a walker.
wall:
    jsr random_next
    and #1
    clc
    adc #STONE + GROUND + 2
    sta t0
    ldx column
    inx
    lda #WALKER
    jsr enemy_put
    inx
    inx
    inx
    lda t0
    sta solid,x
    inx
    stx column
    jmp segment_done

; A spiked one, and a walker close behind.
den:
    ldx column
    inx
    inx
    lda #SPIKED
    jsr enemy_put
    inx
    inx
    inx
    inx
    lda #WALKER
    jsr enemy_put
    inx
    inx
    stx column
    jmp segment_done
