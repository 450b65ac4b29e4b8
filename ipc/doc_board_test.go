package ipc

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// TestDocBoard holds the tables of the board to the code, field by field.
func TestDocBoard(t *testing.T) {
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	line := regexp.MustCompile(`(?m)^//\t(header|line|row)\s+(\d+)\s+([ui]64(?:\[\d+\])?)\s+([KMW])\s+([A-Z]\w*)\s+\S`)
	var got, want []string
	for _, m := range line.FindAllStringSubmatch(doc, -1) {
		got = append(got, strings.Join([]string{m[1], m[2], m[3], m[5]}, " "))
	}
	for _, s := range []struct {
		name string
		typ  reflect.Type
	}{{"header", reflect.TypeFor[Header]()}, {"line", reflect.TypeFor[Line]()}, {"row", reflect.TypeFor[Row]()}} {
		for f := range s.typ.Fields() {
			if f.IsExported() {
				want = append(want, fmt.Sprintf("%s %d %s %s", s.name, f.Offset, wordType(t, f.Type), f.Name))
			}
		}
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("doc.go has\n%s\nthe code has\n%s", g, w)
	}

	rows := regexp.MustCompile(`(?m)^//\t(hot|rows)\s+(\d+)\s+(\d+)\s+(\w+)`)
	areas := ""
	for _, m := range rows.FindAllStringSubmatch(doc, -1) {
		areas += strings.Join(m[1:], " ") + "\n"
	}
	if w := fmt.Sprintf("hot 0 192 header\nhot %d %d table\nhot %d %d lines\nhot 0 %d all\nrows 0 %d rows\n",
		TableOffset, TableSize*2, LinesOffset, MaxSlots*LineBytes, BoardBytes, RowsBytes); areas != w {
		t.Errorf("doc.go has\n%sthe code has\n%s", areas, w)
	}
	for _, s := range []string{
		fmt.Sprintf("share: version %d.", BoardVersion),
		fmt.Sprintf("Version     %d\n", BoardVersion),
		fmt.Sprintf("Slots       %d\n", MaxSlots),
		fmt.Sprintf("table: %d numbers", TableSize),
		fmt.Sprintf("lines: %d of %d bytes", MaxSlots, LineBytes),
		fmt.Sprintf("rows: %d of %d bytes", MaxSlots*Seats, RowBytes),
		fmt.Sprintf("Magic       %#x", uint64(BoardMagic)),
		fmt.Sprintf("weighs %d ", Weight),
		fmt.Sprintf("adds %d to Released", Busy),
		fmt.Sprintf("Flags       %d: closed", FlagClosed),
		fmt.Sprintf("8*(n-%d) +", histogramBegin),
		fmt.Sprintf("2^%d and more at index %d", histogramEnd, Buckets-1),
		fmt.Sprintf("with a board %d of them listeners", MaxFDs-boardFiles),
	} {
		if !strings.Contains(doc, s) {
			t.Errorf("doc.go does not say %q", s)
		}
	}
	if s := string([]byte{'t', 'i', 'n', 'e', '.', 'b', 'r', 'd'}); magicText() != s {
		t.Errorf("the magic number is %q, wanted %q", magicText(), s)
	}
}

// wordType is how doc.go names a field's type.
func wordType(t *testing.T, f reflect.Type) string {
	switch f {
	case reflect.TypeFor[uint64](), reflect.TypeFor[atomic.Uint64]():
		return "u64"
	case reflect.TypeFor[atomic.Int64]():
		return "i64"
	}
	if f.Kind() != reflect.Array {
		t.Fatalf("a board has no %s", f)
	}
	return wordType(t, f.Elem()) + "[" + strconv.Itoa(f.Len()) + "]"
}

func magicText() string {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(uint64(BoardMagic) >> (8 * i))
	}
	return string(b)
}

// TestDocHistogram takes the formula at its word.
func TestDocHistogram(t *testing.T) {
	for _, v := range []int64{1024, 1500, 123456, 1 << 30, 1<<36 - 1} {
		n := 0
		for int64(1)<<(n+1) <= v {
			n++
		}
		if got := 8*(n-10) + int(v>>(n-3))%8; got != Bucket(v) {
			t.Errorf("%d ns is at index %d by doc.go, and %d by the code", v, got, Bucket(v))
		}
	}
}
