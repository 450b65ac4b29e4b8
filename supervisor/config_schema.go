package supervisor

type schema struct {
	Ref               string             `json:"$ref,omitempty"`
	Type              any                `json:"type,omitempty"`
	Description       string             `json:"description,omitempty"`
	Enum              []string           `json:"enum,omitempty"`
	Const             any                `json:"const,omitempty"`
	Pattern           string             `json:"pattern,omitempty"`
	Minimum           *float64           `json:"minimum,omitempty"`
	Maximum           *float64           `json:"maximum,omitempty"`
	Items             *schema            `json:"items,omitempty"`
	AnyOf             []*schema          `json:"anyOf,omitempty"`
	Properties        map[string]*schema `json:"properties,omitempty"`
	PatternProperties map[string]*schema `json:"patternProperties,omitempty"`
	Additional        any                `json:"additionalProperties,omitempty"` // *schema or false
	Schema            string             `json:"$schema,omitempty"`
	ID                string             `json:"$id,omitempty"`
	Title             string             `json:"title,omitempty"`
	Required          []string           `json:"required,omitempty"`
	Defs              map[string]*schema `json:"$defs,omitempty"`
}

func number(f float64) *float64 { return &f }

// A file may have any scalar where text is wanted.
func textSchema() *schema { return &schema{Type: []string{"string", "number", "boolean"}} }

// variableSchema is a value that a variable decides.
func variableSchema() *schema { return &schema{Ref: "#/$defs/variable"} }

func enumSchema(words ...string) *schema {
	return anyOf(&schema{Enum: words}, variableSchema())
}

func integerSchema(least, most int) *schema {
	return &schema{Type: "integer", Minimum: number(float64(least)), Maximum: number(float64(most))}
}

func listSchema(of *schema) *schema { return &schema{Type: "array", Items: of} }
func mapSchema(of *schema) *schema  { return &schema{Type: "object", Additional: of} }

func durationSchema() *schema { return &schema{Ref: "#/$defs/duration"} }
func sizeSchema() *schema     { return &schema{Ref: "#/$defs/size"} }

// anyOf is what one of some schemas takes; those that are such themselves are taken apart.
func anyOf(of ...*schema) *schema {
	var all []*schema
	for _, s := range of {
		if len(s.AnyOf) > 0 {
			all = append(all, s.AnyOf...)
		} else {
			all = append(all, s)
		}
	}
	return &schema{AnyOf: all}
}

func sectionSchema(fields []field) *schema {
	s := &schema{Type: "object", Properties: map[string]*schema{}, Additional: false}
	for _, f := range fields {
		s.Properties[f.key] = f.schema
	}
	return s
}
