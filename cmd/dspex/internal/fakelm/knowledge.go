package fakelm

import (
	"regexp"
	"strings"
)

// facts are questions, normalized, that have a known answer.
var facts = map[string]string{
	"what is dspy":             "DSPy is a framework for programming language models instead of prompting them.",
	"what is dspex":            "dspex runs DSPy programs in pools of Python workers behind a Go host.",
	"what does dspy stand for": "Declarative Self-improving Python.",
	"what is the answer to life the universe and everything": "42",
	"what is the meaning of life":                            "42",
	"who are you":                                            "I am the fake language model of dspex.",
	"what color is the sky":                                  "Blue",
	"what is the color of the sky":                           "Blue",
	"what is the largest planet":                             "Jupiter",
	"what is the largest planet in the solar system":         "Jupiter",
	"what is the speed of light":                             "299792458 metres per second",
	"what is the boiling point of water":                     "100 degrees Celsius",
	"what is the chemical symbol for gold":                   "Au",
	"what is the square root of 144":                         "12",
	"what is pi":                                             "3.14159",
	"who wrote hamlet":                                       "William Shakespeare",
	"who wrote romeo and juliet":                             "William Shakespeare",
	"who painted the mona lisa":                              "Leonardo da Vinci",
	"who was the first person on the moon":                   "Neil Armstrong",
	"how many legs does a spider have":                       "8",
	"how many days are in a week":                            "7",
	"how many continents are there":                          "7",
	"how many planets are in the solar system":               "8",
	"in which year did the titanic sink":                     "1912",
	"in what year did world war ii end":                      "1945",
	"when did world war ii end":                              "1945",
}

// capitals are countries, in lower case, and their capital cities.
var capitals = map[string]string{
	"argentina": "Buenos Aires", "australia": "Canberra", "austria": "Vienna", "bangladesh": "Dhaka",
	"belgium": "Brussels", "brazil": "Brasília", "bulgaria": "Sofia", "canada": "Ottawa", "chile": "Santiago",
	"china": "Beijing", "colombia": "Bogotá", "croatia": "Zagreb", "cuba": "Havana", "czechia": "Prague",
	"denmark": "Copenhagen", "egypt": "Cairo", "estonia": "Tallinn", "ethiopia": "Addis Ababa",
	"finland": "Helsinki", "france": "Paris", "germany": "Berlin", "ghana": "Accra", "greece": "Athens",
	"hungary": "Budapest", "iceland": "Reykjavík", "india": "New Delhi", "indonesia": "Jakarta",
	"ireland": "Dublin", "israel": "Jerusalem", "italy": "Rome", "japan": "Tokyo", "kenya": "Nairobi",
	"latvia": "Riga", "lithuania": "Vilnius", "luxembourg": "Luxembourg", "malaysia": "Kuala Lumpur",
	"mexico": "Mexico City", "morocco": "Rabat", "nepal": "Kathmandu", "netherlands": "Amsterdam",
	"new zealand": "Wellington", "nigeria": "Abuja", "norway": "Oslo", "pakistan": "Islamabad",
	"peru": "Lima", "philippines": "Manila", "poland": "Warsaw", "portugal": "Lisbon", "romania": "Bucharest",
	"russia": "Moscow", "saudi arabia": "Riyadh", "serbia": "Belgrade", "singapore": "Singapore",
	"slovakia": "Bratislava", "slovenia": "Ljubljana", "south korea": "Seoul", "spain": "Madrid",
	"sweden": "Stockholm", "switzerland": "Bern", "thailand": "Bangkok", "turkey": "Ankara",
	"ukraine": "Kyiv", "united kingdom": "London", "united states": "Washington, D.C.", "usa": "Washington, D.C.",
	"vietnam": "Hanoi",
}

var (
	capitalPattern = regexp.MustCompile(`capital(?: city)? of (?:the )?([\p{L} ]+)`)
	notWord        = regexp.MustCompile(`[^\p{L}\p{N}]+`)
)

// recall returns the answer to a question that the model knows: a fact, a
// capital city, or the result of an arithmetic expression.
func recall(question string) (answer string, known bool) {
	plain := strings.TrimSpace(notWord.ReplaceAllString(strings.ToLower(question), " "))
	if answer, known := facts[plain]; known {
		return answer, true
	}
	if match := capitalPattern.FindStringSubmatch(plain); match != nil {
		// The name may be followed by more of the sentence.
		for country := match[1]; country != ""; {
			if city, known := capitals[strings.TrimSpace(country)]; known {
				return city, true
			}
			country = country[:max(strings.LastIndexByte(country, ' '), 0)]
		}
	}
	if result, found := calculate(question); found {
		return strings.TrimSuffix(scalarText(result), ".0"), true
	}
	return "", false
}
