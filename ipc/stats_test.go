package ipc

import (
	"reflect"
	"testing"
	"time"
)

// TestStatsTakeEverything: each number of Stats is the row's of the same name, or their sum.
func TestStatsTakeEverything(t *testing.T) {
	r := &Row{}
	n := uint64(100)
	row := reflect.ValueOf(r).Elem()
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch {
		case v.Kind() == reflect.Array:
			for i := range v.Len() {
				fill(v.Index(i))
			}
		case v.Type() == reflect.TypeFor[int64]() || v.Type() == reflect.TypeFor[uint64]():
		default:
			n++
			switch a := v.Addr().Interface().(type) {
			case interface{ Store(uint64) }:
				a.Store(n)
			case interface{ Store(int64) }:
				a.Store(int64(n))
			default:
				t.Fatalf("%T", a)
			}
		}
	}
	for i := range row.NumField() {
		if row.Type().Field(i).IsExported() {
			fill(row.Field(i))
		}
	}
	s := reflect.ValueOf(r.Stats())
	seen := map[uint64]bool{}
	for i := range s.NumField() {
		name := s.Type().Field(i).Name
		if name == "Requests" { // the row has it by class only
			if got := r.Stats().Requests; got != r.Requests() || got == 0 {
				t.Errorf("%d requests, the row has %d", got, r.Requests())
			}
			continue
		}
		f, from := s.Field(i), row.FieldByName(name)
		for k := range length(f) {
			got, want := number(f, k), load(from, k)
			if got != want || seen[got] || got == 0 {
				t.Errorf("%s: %d is %d, the row has %d", name, k, got, want)
			}
			seen[got] = true
		}
	}
	sum := r.Stats()
	sum.Add(r.Stats())
	twice := reflect.ValueOf(sum)
	for i := range s.NumField() {
		if name := s.Type().Field(i).Name; name != "GCPause" {
			for k := range length(s.Field(i)) {
				if got, want := number(twice.Field(i), k), 2*number(s.Field(i), k); got != want {
					t.Errorf("sum of %s %d is %d, wanted %d", name, k, got, want)
				}
			}
		}
	}
}

func length(v reflect.Value) int {
	if v.Kind() == reflect.Array {
		return v.Len()
	}
	return 1
}

func number(v reflect.Value, i int) uint64 {
	if v.Kind() == reflect.Array {
		v = v.Index(i)
	}
	if v.CanInt() {
		return uint64(v.Int())
	}
	return v.Uint()
}

func load(v reflect.Value, i int) uint64 {
	if v.Kind() == reflect.Array {
		v = v.Index(i)
	}
	switch a := v.Addr().Interface().(type) {
	case interface{ Load() uint64 }:
		return a.Load()
	case interface{ Load() int64 }:
		return uint64(a.Load())
	}
	panic("no number")
}

func TestStatsSums(t *testing.T) {
	a := Stats{GCPause: 3 * time.Millisecond, Classes: [Classes]uint64{4: 2, 3: 7}}
	a.Histogram[Bucket(1_000_000)] = 99
	b := Stats{GCPause: time.Millisecond, Classes: [Classes]uint64{4: 1, ClassUnknown: 1}}
	b.Histogram[Bucket(1_000_000_000)] = 1
	a.Add(b)
	if a.Errors() != 3 || a.GCPause != 3*time.Millisecond {
		t.Errorf("%d errors, pause %s", a.Errors(), a.GCPause)
	}
	if q := a.Quantile(0.5); q < 900*time.Microsecond || q > 1100*time.Microsecond {
		t.Errorf("median %s", q)
	}
	if q := a.Quantile(1); q < 900*time.Millisecond || q > 1100*time.Millisecond {
		t.Errorf("longest %s", q)
	}
}

func TestClass(t *testing.T) {
	for status, want := range map[int]int{100: 0, 199: 0, 200: 1, 304: 2, 404: 3, 500: 4, 599: 4, 0: ClassUnknown, 99: ClassUnknown, 600: ClassUnknown, -100: ClassUnknown} {
		if got := Class(status); got != want {
			t.Errorf("status %d has class %d, wanted %d", status, got, want)
		}
	}
}
