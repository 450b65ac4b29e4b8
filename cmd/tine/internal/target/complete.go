package target

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/supervisor/control/api"
)

// completionTimeout bounds the wait after a Tab. A master answers in a few milliseconds, unless it is stopped or the machine
// is overloaded.
const completionTimeout = 1500 * time.Millisecond

// live asks the masters that a half-written command line may mean for their status.
func live(cmd *cobra.Command) (statuses []api.Status) {
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

// CompleteApps completes the name of an app or of a namespace.
func CompleteApps(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, st := range live(cmd) {
		names = append(names, appNames(st.Apps)...)
		for _, a := range st.Apps { // a namespace stands for all its apps
			if a.Namespace != "" && !slices.Contains(names, a.Namespace) {
				names = append(names, a.Namespace)
			}
		}
	}
	return fits(names, text)
}

// CompleteApp is CompleteApps for a command whose first argument is the app.
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

// CompleteSlots completes the number of a slot, of the app that -a or the last argument names, else of any app.
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

// CompleteKeys completes the key of a cached value as the first argument.
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
