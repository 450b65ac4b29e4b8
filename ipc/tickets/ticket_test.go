package tickets

import (
	"strings"
	"testing"
)

func TestTicketTravels(t *testing.T) {
	b := book(t)
	for _, slot := range []int{0, 9, Slots - 1} {
		k := reserved(t, b.Slot(slot), mostOwner, 0)
		got, ok := Parse(k.String())
		if !ok || got != k || len(k.String()) != textLen {
			t.Errorf("%s became %s, %v", k, got, ok)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Parse("000000000000000001000011") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	good := "0001" + "0002" + "0000000001000011"
	if _, ok := Parse(good); !ok {
		t.Fatal("the ticket that the others are made of is none")
	}
	for name, text := range map[string]string{
		"empty": "", "short": good[1:], "long": good + "0", "sign": "+" + good[1:], "capitals": strings.ToUpper(good[:23]) + "A",
		"underscore": good[:23] + "_", "slot": "0400" + good[4:], "row": "0001" + "0400" + good[8:], "begun": good[:23] + "2",
		"free": good[:23] + "0", "seat": good[:23] + "9", "no owner": "0001" + "0002" + "0000000001000001", "NUL": good[:23] + "\x00",
	} {
		if k, ok := Parse(text); ok {
			t.Errorf("%s: %q is taken for %v", name, text, k)
		}
	}
}
