package orders

import (
	"os"
	"strings"
	"testing"
)

// TestDiagram holds that doc.go draws the ways, all of them and no other.
func TestDiagram(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(source), "# Phases")
	section, _, _ = strings.Cut(section, "//\n// Refused is")
	drawn := map[string]bool{}
	for line := range strings.Lines(section) {
		steps := strings.Split(strings.TrimSpace(strings.TrimPrefix(line, "//")), "──▶")
		for i := 1; i < len(steps); i++ {
			for _, from := range phasesOf(steps[i-1], i-1 == 0, false) {
				for _, to := range phasesOf(steps[i], false, i == len(steps)-1) {
					drawn[from+" "+to] = true
				}
			}
		}
	}
	for from, all := range ways {
		for _, to := range all {
			way := phase(from).String() + " " + to.String()
			if !drawn[way] {
				t.Errorf("doc.go does not draw the way from %s to %s", phase(from), to)
			}
			delete(drawn, way)
		}
	}
	for way := range drawn {
		t.Errorf("doc.go draws a way that is none: %s", way)
	}
}

// phasesOf are the phases of one step of a line: what precedes the first is the verb, what follows the last a remark.
func phasesOf(step string, first, last bool) []string {
	step = strings.TrimSpace(step)
	switch {
	case strings.Contains(step, ", "):
		return strings.Split(step, ", ")
	case first:
		return strings.Fields(step)[len(strings.Fields(step))-1:]
	case last:
		return strings.Fields(step)[:1]
	}
	return []string{step}
}
