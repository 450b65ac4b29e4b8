//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

type verdict string

const (
	pass verdict = "PASS"
	fail verdict = "MISS"
	info verdict = "" // no promise: for comparison
)

func verdictOf(ok bool) verdict {
	if ok {
		return pass
	}
	return fail
}

type row struct {
	section, figure, target, measured string
	verdict                           verdict
}

// table collects rows and shows each as it comes, since a whole run takes minutes.
type table struct {
	section string
	rows    []row
}

func (t *table) add(figure, target, measured string, v verdict) {
	t.rows = append(t.rows, row{t.section, figure, target, measured, v})
	fmt.Fprintf(os.Stderr, "  %-60s %-14s %-44s %s\n", figure, target, measured, v)
}

func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "SECTION\tFIGURE\tTARGET\tMEASURED\t")
	last := ""
	for _, r := range t.rows {
		name := r.section
		if name == last {
			name = ""
		}
		last = r.section
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", name, r.figure, r.target, r.measured, r.verdict)
	}
	tw.Flush()
}
