package target

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/supervisor/control"
)

// completionTimeout bounds what a person waits for after a Tab: a master answers in a few ms, if it is not stopped or the
// machine is not on its knees.
const completionTimeout = 1500 * time.Millisecond

// live asks the master that a half-written command line means.
func live(cmd *cobra.Command) (statuses []control.Status) {
	ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
	defer cancel()
	t := &Target{}
	if f := cmd.Flags().Lookup("control"); f != nil {
		t.Socket = f.Value.String()
	}
	if f := cmd.Flags().Lookup("master"); f != nil && f.Changed {
		t.Master = f.Value.String()
	}
	all, err := t.Candidates(ctx)
	if err != nil {
		return nil
	}
	for _, c := range all {
		if c.Err == nil {
			statuses = append(statuses, c.Seen)
		}
		c.Close()
	}
	return statuses
}

func fits(words []string, text string) ([]string, cobra.ShellCompDirective) {
	words = slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, text) })
	return words, cobra.ShellCompDirectiveNoFileComp
}

func CompleteApps(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, st := range live(cmd) {
		names = append(names, appNames(st.Apps)...)
		for _, a := range st.Apps { // orders and readings take a namespace for all its apps
			if a.Namespace != "" && !slices.Contains(names, a.Namespace) {
				names = append(names, a.Namespace)
			}
		}
	}
	return fits(names, text)
}

// CompleteApp completes the first argument only.
func CompleteApp(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return CompleteApps(cmd, args, text)
}

func completeMasters(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, st := range live(cmd) {
		names = append(names, st.Name)
	}
	return fits(names, text)
}

// CompleteSlots knows the app by -a or by the first argument, else takes all.
func CompleteSlots(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	app := ""
	if f := cmd.Flags().Lookup("app"); f != nil {
		app = f.Value.String()
	}
	if app == "" && len(args) > 0 {
		app = args[len(args)-1]
	}
	var slots []string
	for _, st := range live(cmd) {
		apps, err := Chosen(st, app)
		if err != nil {
			apps = st.Apps
		}
		for _, a := range apps {
			for _, w := range a.Workers {
				if slot := strconv.Itoa(w.Slot); w.Slot >= 0 && !slices.Contains(slots, slot) {
					slots = append(slots, slot)
				}
			}
		}
	}
	return fits(slots, text)
}

func CompleteKeys(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var keys []string
	for _, st := range live(cmd) {
		for _, v := range st.Cache.Values {
			keys = append(keys, v.Key)
		}
	}
	return fits(keys, text)
}
