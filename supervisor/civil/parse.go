package civil

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxText bounds what is parsed.
const maxText = 256

// Parse reads
//
//	[CRON_TZ=ZONE ]MINUTE HOUR DAY MONTH WEEKDAY
//	[CRON_TZ=ZONE ]@yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly
//	@every DURATION     of whole seconds, at least 1s
//
// TZ= is the same as CRON_TZ=. A field is a list with commas of N, N-M, N-M/STEP, N/STEP (up to the field's last), *
// and */STEP; ? is *. Months and weekdays may have their first three letters; Sunday is 0 and 7. A schedule that never
// comes, such as 0 0 30 2 *, is an error. zone is what counts where the text names none.
func Parse(text string, zone *time.Location) (*Schedule, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("it has %d characters, the most is %d", len(text), maxText)
	}
	s := &Schedule{text: text, zone: zone}
	rest := strings.TrimSpace(text)
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		name, named := strings.CutPrefix(rest, prefix)
		if !named {
			continue
		}
		end := strings.IndexAny(name, " \t")
		if end <= 0 {
			return nil, fmt.Errorf("nothing after %s: write %sEurope/Vienna 30 4 * * *", prefix, prefix)
		}
		name, rest = name[:end], strings.TrimSpace(name[end:])
		var err error
		if s.zone, err = time.LoadLocation(name); err != nil {
			return nil, fmt.Errorf("no time zone %q here: %w", name, err)
		}
		break
	}
	if err := s.parse(rest); err != nil {
		return nil, err
	}
	if s.every == 0 && s.nextNamed(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errors.New("that day never comes")
	}
	return s, nil
}

var words = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

func (s *Schedule) parse(text string) error {
	if strings.HasPrefix(text, "@") {
		if every, ok := strings.CutPrefix(text, "@every "); ok {
			d, err := time.ParseDuration(strings.TrimSpace(every))
			if err != nil || d < time.Second || d%time.Second != 0 {
				return fmt.Errorf("%q is not a whole number of seconds: write @every 90m or @every 10s", every)
			}
			s.every = d
			return nil
		}
		fields, ok := words[text]
		if !ok {
			return fmt.Errorf("%q is not known: write @hourly, @daily, @weekly, @monthly, @yearly or @every 90m", text)
		}
		text = fields
	}
	all := strings.Fields(text)
	if len(all) != 5 {
		return fmt.Errorf("it has %d fields instead of 5: write minute hour day month weekday, such as 30 4 * * 1, or @daily", len(all))
	}
	var err error
	read := func(i int, f field) (b bits, any bool) {
		if err == nil {
			b, any, err = f.parse(all[i])
		}
		return b, any
	}
	s.minutes, _ = read(0, field{"minute", 0, 59, nil})
	s.hours, _ = read(1, field{"hour", 0, 23, nil})
	s.days, s.anyDay = read(2, field{"day of the month", 1, 31, nil})
	s.months, _ = read(3, field{"month", 1, 12, months})
	s.weekdays, s.anyWeekday = read(4, field{"weekday", 0, 7, weekdays})
	if err != nil {
		return err
	}
	if s.weekdays.has(7) {
		s.weekdays |= 1
	}
	s.wild = strings.HasPrefix(all[0], "*") || s.hours == 1<<24-1
	return nil
}

var (
	months   = []string{1: "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"}
)

// field is what one of the five may be.
type field struct {
	name        string
	least, most int
	words       []string // by number
}

// parse reads a list. any: it names all by a star.
func (f field) parse(text string) (all bits, any bool, err error) {
	for part := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			if step, err = f.number(stepText, false); err != nil || step < 1 {
				return 0, false, fmt.Errorf("the step in the %s %q is not a number from 1 on", f.name, part)
			}
		}
		from, to := f.least, f.most
		if span == "*" || span == "?" {
			if f.words != nil && f.most == 7 {
				to = 6 // Sunday once
			}
			any = any || step == 1
		} else {
			first, last, ranged := strings.Cut(span, "-")
			if from, err = f.number(first, true); err != nil {
				return 0, false, err
			}
			switch {
			case ranged:
				if to, err = f.number(last, true); err != nil {
					return 0, false, err
				}
				if to == 0 && f.most == 7 { // sat-sun
					to = 7
				}
			case !stepped:
				to = from
			}
			if from > to {
				return 0, false, fmt.Errorf("the %s %q ends before it begins: write it as two ranges with a comma", f.name, part)
			}
		}
		for n := from; n <= to; n += step {
			all |= 1 << n
		}
	}
	return all, any, nil
}

func (f field) number(text string, bounded bool) (int, error) {
	if bounded {
		for n, word := range f.words {
			if word != "" && strings.EqualFold(word, text) {
				return n % (f.most + 1), nil
			}
		}
	}
	n := 0
	if text == "" || len(text) > 4 {
		return 0, f.fault(text)
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, f.fault(text)
		}
		n = 10*n + int(c-'0')
	}
	if bounded && (n < f.least || n > f.most) {
		return 0, f.fault(text)
	}
	return n, nil
}

func (f field) fault(text string) error {
	names := ""
	if f.words != nil {
		names = ", or a name such as " + f.words[1]
	}
	article := "a"
	if f.name == "hour" {
		article = "an"
	}
	return fmt.Errorf("%q is not %s %s: write %d to %d%s", text, article, f.name, f.least, f.most, names)
}
