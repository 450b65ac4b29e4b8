package keeper

import (
	"bytes"
	"errors"
	"reflect"
	"strconv"
	"testing"
)

func TestRoomGoesThroughItsText(t *testing.T) {
	want := Room{Files: 1, MaxFiles: 2, Names: 3, MaxNames: 4, Refused: []string{"a b", "refused c"}, More: 5}
	got, err := readRoom(bytes.NewReader(append(want.appendTo(nil), "later 1\n"...)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if got, err := readRoom(bytes.NewReader([]byte("files x\n"))); err == nil {
		t.Errorf("nonsense was read as %+v", got)
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	var r refusals
	for i := range maxRefused + 10 {
		r.add(strconv.Itoa(i))
		r.add("0")
	}
	var room Room
	r.tell(&room)
	if len(room.Refused) != maxRefused || room.More != 10 {
		t.Errorf("%d names, %d more", len(room.Refused), room.More)
	}
	if text := room.appendTo(nil); len(text) > 1<<20 {
		t.Errorf("the answer has %d bytes, %d at most are read", len(text), 1<<20)
	}
	for i := range maxRefused {
		r.remove(strconv.Itoa(i))
	}
	room = Room{}
	if r.tell(&room); len(room.Refused) != 0 || room.More != 0 {
		t.Errorf("left: %+v", room)
	}
}

// What systemd would not keep is known without asking.
func TestLedgerKnowsItsRoom(t *testing.T) {
	l := &ledger{limit: 5}
	if _, err := l.add("a", 4); err != nil {
		t.Fatal(err)
	}
	if _, err := l.add("b", 2); !errors.Is(err, ErrFull) {
		t.Errorf("it says %v", err)
	}
	want := Room{Files: 4, MaxFiles: 5, Names: l.names, MaxNames: maxNames, Refused: []string{"b"}}
	if got := l.room(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	l.remove("a")
	if _, err := l.add("b", 2); err != nil || len(l.room().Refused) != 0 {
		t.Errorf("%v, %+v", err, l.room())
	}
}
