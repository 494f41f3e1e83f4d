; Enemies: walkers and hoppers can be stomped, spiked ones cannot.

HOP         = 42            ; speed of a hop, 1/16 pixel a frame
REST        = 48            ; frames between two hops

.segment "CODE"

; The enemy of column `next_column` takes a free place.
enemy_spawn:
    ldx next_column
    lda solid,x
    asl a
    lda #0
    rol a
    sta t0
    lda blocks,x
    asl a
    lda #0
    rol a
    asl a
    ora t0
    beq @done
    ldy #ENEMIES - 1
@place:
    lda kind,y
    beq @free
    dey
    bpl @place
@done:
    rts
@free:
    lda blocks,x
    asl a
    lda #0
    rol a
    asl a
    ora t0
    sta kind,y
    txa
    asl a
    asl a
    asl a
    asl a
    sta enemy_x,y
    txa
    lsr a
    lsr a
    lsr a
    lsr a
    sta enemy_page,y
    lda solid,x
    and #$0F
    sta t0
    lda #14
    sec
    sbc t0
    asl a
    asl a
    asl a
    asl a
    sta enemy_y,y
    sta enemy_home,y
    lda #0
    sta enemy_dir,y
    sta enemy_flat,y
    sta enemy_sub,y
    lda #REST
    sta enemy_speed,y
    rts

enemies_update:
    ldx #ENEMIES - 1
@next:
    lda kind,x
    beq @none
    cmp #FLAG
    beq @none
    stx t5
    jsr enemy_update
    ldx t5
@none:
    dex
    bpl @next
    rts

; The x of enemy X from the picture's edge, in t0 (low) and A (high).
enemy_screen:
    lda enemy_x,x
    sec
    sbc cam
    sta t0
    lda enemy_page,x
    sbc cam+1
    rts

enemy_gone:
    lda #0
    sta kind,x
    rts

; A frame of enemy X, which is also in t5.
enemy_update:
    lda enemy_flat,x
    beq @lives
    dec enemy_flat,x
    beq enemy_gone
    rts
@lives:
    jsr enemy_screen
    beq @seen
    bpl @waits              ; not there yet
    lda t0
    cmp #240
    bcc enemy_gone
@seen:
    lda kind,x
    cmp #HOPPER
    beq @hops
    lda frame
    lsr a
    bcs @meet               ; half a pixel a frame
    jsr enemy_walk
    jmp @meet
@hops:
    jsr enemy_hop
@meet:
    ldx t5
    jmp enemy_meet
@waits:
    rts

; One pixel forwards; it turns at walls and at the end of its ground.
enemy_walk:
    lda enemy_dir,x
    bne @right
    lda enemy_x,x
    bne @no_borrow
    dec enemy_page,x
@no_borrow:
    dec enemy_x,x
    lda #0
    beq @ahead
@right:
    inc enemy_x,x
    bne @no_carry
    inc enemy_page,x
@no_carry:
    lda #15
@ahead:
    ; The column of its front.
    clc
    adc enemy_x,x
    sta t0
    lda enemy_page,x
    adc #0
    sta t1
    lda t0
    lsr a
    lsr a
    lsr a
    lsr a
    sta t2
    lda t1
    asl a
    asl a
    asl a
    asl a
    ora t2
    tay
    lda enemy_y,x
    clc
    adc #8
    sta t4
    tya
    tax
    lda t4
    jsr is_solid
    bcs @turn
    lda t4
    adc #8
    jsr is_solid
    bcs @done
@turn:
    ldx t5
    lda enemy_dir,x
    eor #1
    sta enemy_dir,x
@done:
    rts

; It rests, and hops where it is. Its speed counts the rest while it stands.
enemy_hop:
    lda enemy_y,x
    cmp enemy_home,x
    bne @air
    dec enemy_speed,x
    bne @done
    lda #<-HOP
    sta enemy_speed,x
@air:
    lda enemy_speed,x
    php
    lsr a
    lsr a
    lsr a
    lsr a
    plp
    bpl @down
    ora #$F0
@down:
    sta t0                  ; whole pixels
    lda enemy_speed,x
    asl a
    asl a
    asl a
    asl a
    clc
    adc enemy_sub,x
    sta enemy_sub,x
    lda enemy_y,x
    adc t0
    cmp enemy_home,x
    bcc @put
    lda enemy_home,x
    sta enemy_y,x
    lda #REST
    sta enemy_speed,x
    lda #0
    sta enemy_sub,x
    rts
@put:
    sta enemy_y,x
    inc enemy_speed,x
    inc enemy_speed,x
@done:
    rts

; Enemy X and the hero.
enemy_meet:
    lda enemy_x,x
    sec
    sbc x_pos
    sta t0
    lda enemy_page,x
    sbc page
    beq @right_of
    cmp #$FF
    bne @far
    lda t0
    cmp #256 - 8
    bcs @beside
@far:
    rts
@right_of:
    lda t0
    cmp #9
    bcs @far
@beside:
    lda enemy_y,x
    sec
    sbc y_pos
    sta t0
    bcc @under
    cmp #13
    bcs @far
    ; From above?
    lda y_speed+1
    bmi @hurts
    ora y_speed
    beq @hurts
    lda t0
    cmp #5
    bcc @hurts
    lda kind,x
    cmp #SPIKED
    beq @hurts
    ; Stomped.
    lda #20
    sta enemy_flat,x
    lda enemy_home,x
    sta enemy_y,x
    lda #<-BOUNCE
    sta y_speed
    lda #>-BOUNCE
    sta y_speed+1
    lda #1
    sta float
    ldx #3
    jsr score_add
    ldx t5
    rts
@under:
    cmp #<-10
    bcc @far
@hurts:
    jmp die

enemies_draw:
    ldx #ENEMIES - 1
@next:
    stx t6
    lda kind,x
    beq @hide
    cmp #FLAG
    beq @hide
    jsr enemy_screen
    sta t1
    lda enemy_y,x
    sta t2
    ldy kind,x
    lda enemy_tile,y
    sta t4
    lda enemy_palette,y
    sta t5
    lda enemy_flat,x
    beq @not_flat
    lda #S_FLAT * 4
    sta t4
    bne @draw
@not_flat:
    cpy #HOPPER
    beq @hopper
    ; The same picture from the other side is the other step.
    lda frame
    and #8
    beq @draw
    lda t5
    ora #$40
    sta t5
    bne @draw
@hopper:
    lda enemy_y,x
    cmp enemy_home,x
    beq @draw
    lda #S_LEAP * 4
    sta t4
@draw:
    lda enemy_oam,x
    tax
    jsr object_draw
    ldx t6
    dex
    bpl @next
    rts
@hide:
    lda enemy_oam,x
    tax
    jsr object_hide
    ldx t6
    dex
    bpl @next
    rts

.segment "RODATA"
enemy_tile:
    .byte 0, S_WALKER * 4, S_SPIKED * 4, S_HOPPER * 4
enemy_palette:
    .byte 0, 1, 2, 3
enemy_oam:
    .byte OAM_ENEMIES, OAM_ENEMIES + 8, OAM_ENEMIES + 16, OAM_ENEMIES + 24, OAM_ENEMIES + 32
