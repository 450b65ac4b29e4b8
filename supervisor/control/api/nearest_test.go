package api

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"web", "api", "worker", "reload", "restart"}
	for word, want := range map[string]string{
		"wbe": "web", "reaload": "reload", "restrat": "restart", "web": "", "zzz": "", "": "", "workers": "worker",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
