"""Words that tell what a name is: given names, places and organisations that many people speak of.

A name that stands in no list is found by what stands around it, by who speaks in the conversation, or because it is
known already. Names that are words as well are listed apart: they need more than a capital letter.
"""

from __future__ import annotations


def words(listed: str) -> frozenset[str]:
    """The words of a list."""
    return frozenset(listed.split())


def phrases(listed: str) -> frozenset[str]:
    """The names of a list, told apart by ``;``."""
    return frozenset(" ".join(name.split()) for name in listed.split(";") if name.strip())


GIVEN = words(
    """
    aaron abby abigail abraham adam adrian adriana agnes agnieszka ahmad ahmed aidan aiden aisha alan albert
    alberto alejandra alejandro aleksander alessandra alessandro alex alexa alexander alexandra alexei alexis
    alfred ali alice alicia alina alison allison alyssa amanda amber amelia amelie amir amit amy ana anastasia
    anders andre andrea andreas andrei andres andrew andy angela angelica angelina angelo anita anja anjali ann
    anna annabel annabelle anne annette annie annika anthony antoine anton antonia antonio anya arjun arnold
    arthur arturo arun ashley astrid audrey august aurora ava avery axel ayesha barbara bart basil beatrice
    beatriz becky belinda ben benedict benjamin bernard bernd bert beth bethany betty beverly bianca bjorn bob
    bobby boris brad bradley brandon brenda brendan brent brett brian brianna bridget brittany bruce bruno bryan
    bryce caitlin caleb calvin cameron camila camille carina carl carla carlo carlos carmen carol carole
    carolina caroline carolyn carrie carter casey cassandra caterina catherine cathy cecilia cedric celine cesar
    chad chantal charles charlie chelsea cheryl chiara chloe chris christa christian christina christine
    christoph christopher cindy claire clara clarissa claude claudia clement colin connor conrad corey courtney
    craig cristina crystal curtis cynthia daisy dan dana daniel daniela daniele danielle danny daphne darius
    darren dave david dean deborah debra deepak denise dennis derek diana diane diego dieter dirk dmitri dmitry
    dominic dominik dominique donald donna doris dorothy doug douglas duncan dustin dylan edgar edith eduardo
    edward edwin eileen elaine eleanor elena eli elias elijah elisa elisabeth elise eliza elizabeth ella ellen
    ellie elliot elsa emanuel emil emilia emilie emily emma emmanuel enrico enrique eric erica erik erika erin
    esteban esther ethan eugene eva evan evelyn fabian fabio farah fatima federico felicia felipe felix fernanda
    fernando fiona francesca francesco francis francisco francois franz fred frederic frederick frederik frida
    friedrich gabriel gabriela gabriella gabrielle gareth gary gavin geoffrey george gerald gerard gerhard
    gianluca gilbert gina giorgio giovanni gisela giulia giuseppe glenn gloria gordon grant greg gregory greta
    guillaume guillermo gustav gustavo hanna hannah hannes hans harold harriet harry hassan heather hector heidi
    heike heinrich heinz helen helena helene helga henri henrik henry herbert herman hiroshi holger howard
    hubert hugh hugo hussein ian ibrahim ida ignacio igor ilaria ilse ines inga ingrid irene irina irma isaac
    isabel isabella isabelle ivan ivana jackie jacob jacqueline jacques jaime jake jakob jakub james jamie jan
    jana jane janet janice jared jasmin jasmine jason javier jean jeff jeffrey jenna jennifer jenny jens jeremy
    jerome jerry jesse jessica jill jim jimmy joan joana joanna joanne joao jochen jodie joe joel johan johanna
    johannes john johnny jolene jon jonas jonathan jordi jorge jose josef joseph josephine josh joshua juan
    juana juanita judith judy julia julian juliana julie juliet juliette julio julius jun jurgen justin justine
    kamal karen karim karin karina karl karla karsten kasper katarina katarzyna kate katharina katherine
    kathleen kathryn kathy katie katja katrin katrina kayla keiko keith kelly kelsey ken kendra kenji kenneth
    kerry kevin khalid kim kimberly kira kirsten klaus konrad kris kristen kristin kristina kristine krystyna
    kumiko kurt kyle lara larissa larry lars laura lauren laurence laurent lea leah leila lena leo leon leonard
    leonardo leonie leroy leslie leticia lewis liam lillian linda lindsay lindsey lisa liz lois lola lorena
    lorenzo lori lorraine louis louisa louise luc luca lucas lucia luciano lucy ludwig luigi luis luisa lukas
    luke luna lydia lynn maddie madeleine maggie magdalena mahmoud maja malcolm malik manfred manuel manuela
    marc marcel marcelo marcia marco marcos marcus margaret margarita margot maria mariam mariana marianne marie
    mariko marilyn marina mario marion marisa marius marjorie markus marlene marta martha martin martina martine
    marvin mary mason mateo mathias matilda matt matteo matteus matthew matthias maureen maurice mauricio max
    maxim maxime maximilian maya megan mei mel melanie melinda melissa mercedes meredith mia michael michaela
    michal michel michele michelle miguel mihai mike mikhail mila milan miles mina miranda miriam mitch mitchell
    mohamed mohammad mohammed moira molly mona monica monika monique morgan moritz muhammad mustafa nadia nadine
    nancy naomi natalia natalie natasha nathan nathalie neha neil nelson nicholas nick nicola nicolas nicole
    nigel niklas nikolai nina noah noel noelle nora norbert norma norman octavia odette olaf oleg olga oliver
    olivia olivier omar orlando oscar oskar otto owen pablo pamela paola paolo pascal patricia patrick patrik
    paul paula pauline pavel pedro peggy penelope penny perry pete peter petra phil philip philipp philippe
    phillip phoebe pierre pilar piotr priya quentin rachel rafael rahul raj rajesh ralf ralph ramon raphael
    raquel raul ravi raymond rebecca regina reinhard rene renata renate ricardo riccardo richard rick ricky rita
    rob robert roberta roberto robin rochelle rodrigo roger roland rolf roman ron ronald rosa rosalie rosemary
    rosie ross roxanne roy ruben rudolf rupert russell ruth ryan sabine sabrina sadie sally salma salvatore sam
    samantha samir samuel sandeep sandra sanjay santiago sara sarah sasha sean sebastian selena serena serge
    sergei sergio seth shane shannon sharon shaun shawn sheila shelly sherry shirley sidney silke silvia simon
    simona simone sofia sofie sonia sonja sophia sophie stacey stacy stanislav stefan stefanie stella stephan
    stephanie stephen steve steven stewart stuart sue suresh susan susana susanne suzanne sven svetlana sylvia
    takashi tamara tania tanja tanya tara tatiana taylor ted teresa terence teresa thea theo theodore theresa
    therese thomas tiffany tim timothy tina tobias todd tom tomas tommy toni tony tracy travis trevor tricia
    troy tyler ulrich ulrike umberto ursula uwe valentina valeria valerie vanessa vera verena veronica veronika
    vicky victor viktor vikram vincent vincenzo vivian vivienne vlad vladimir walter wanda wayne wendy werner
    wilhelm william winston wolfgang xavier yannick yasmin yoko yolanda yuki yusuf yvette yvonne zach zachary
    zara zeynep zoe zoey abbie abdul abdullah abel ada adolfo alana alec aliyah alvin amara amos angus archie
    ariana ashton bailey barney barry bella benny bilal blake bonnie callie callum candace carly cassie cecil
    charlene clarence clayton clifford clint clive cody cole cory cyril damian damon daria darrell darryl declan
    delia denny desmond devin dexter dolores dwayne dwight ed eddie eddy edmund edna elmer elton emmett enzo
    ernesto ernie esme estelle ethel ezra faye finley fletcher floyd forrest frances fraser freddie freddy freya
    garrett gemma genevieve geoff gerry gideon gino ginny graham gregor gus gwen hamza hank harris harvey hayden
    hayley hilary homer horace humphrey idris imogen imran irving ismail ivo jarrod jed jenn jermaine jess jonny
    joss joyce kara kasia keanu keira kendrick kenny kieran kirk kofi kunal kwame laila lamar lana laszlo leif
    leigh lenny leopold lester levi lila linus lionel liza lloyd logan lorenz lottie lucinda luther mabel magnus
    maisie mandy marcy marek margo marlon marshall maryam mateusz mathew maurizio maxine mehmet mick mickey milo
    milton mindy morris muriel murray myra nate nathaniel ned nell nellie neville niamh nikhil nils nolan nuno
    ollie otis paige percy phyllis polly preston priscilla ramesh ramona randall randy rashid reggie reuben
    rhonda rhys richie robyn roderick rodney rohan rory rosalind rowan rudy rufus sammy saul scott shreya sid
    silas simeon skye spencer stan stanley talia tariq teddy terrance tess tessa thelma toby tomasz trent trisha
    trudy tyrone uma valentin vaughn vernon vicki vijay vince wallace wes wesley wilbur wilfred willie winnie
    wyatt xander yash yuri zack mireille
    """
)
"""Given names, in lower case and without accents."""

WORDY_GIVEN = words(
    """
    amber april art aurora august autumn bart basil bill brooke carol chance chase chip clay cliff crystal daisy
    dale dawn dean dirk drew earl eden ernst ester eve faith finn frank franz gene glen grace grant guy harmony
    hazel heather heide hope hunter iris ivy jack jade jasmine jay jewel john joy jun june kai lance lena lily
    luna marina mark max may melody mercedes milan mike miles mina mitch mona nick olive opal orlando pat
    patience paris patty penny pierce perry ray reed rich rick rob robin rocky rod roman rose ross ruby rusty
    sandy sky skip star stella stone sue summer ted terry tiffany violet virgil wade ward will wolf woody
    """
) - {"john", "max", "mike", "nick", "rick", "rob", "ross", "ted", "sue"}
"""Given names that are words as well, in English or German."""

PLACE_NAMES = words(
    """
    adelaide asia austin brooklyn carolina charlotte chelsea chester china cleveland dallas denver diego
    florence francisco georgia houston india israel jackson jordan kenya lincoln lourdes madison milan montana
    orlando paris phoenix salem santiago savannah sierra sofia sydney verona victoria vienna virginia washington
    """
)
"""Names that are places as well as people: only what stands before them tells."""

COUNTRIES = """
Afghanistan; Albania; Algeria; Andorra; Angola; Argentina; Armenia; Australia; Austria; Azerbaijan; Bahamas;
Bahrain; Bangladesh; Barbados; Belarus; Belgium; Belize; Benin; Bhutan; Bolivia; Bosnia; Botswana; Brazil; Bulgaria;
Burkina Faso; Burundi; Cambodia; Cameroon; Canada; Cape Verde; Chile; China; Colombia; Congo; Costa Rica; Croatia;
Cuba; Cyprus; Czech Republic; Czechia; Denmark; Dominican Republic; Ecuador; Egypt; El Salvador; England; Eritrea;
Estonia; Ethiopia; Fiji; Finland; France; Gabon; Gambia; Germany; Ghana; Great Britain; Greece; Greenland; Grenada;
Guatemala; Guyana; Haiti; Honduras; Hong Kong; Hungary; Iceland; India; Indonesia; Iran; Iraq; Ireland; Israel;
Italy; Ivory Coast; Jamaica; Japan; Kazakhstan; Kenya; Kosovo; Kuwait; Kyrgyzstan; Laos; Latvia; Lebanon; Lesotho;
Liberia; Libya; Liechtenstein; Lithuania; Luxembourg; Madagascar; Malawi; Malaysia; Maldives; Mali; Malta;
Mauritania; Mauritius; Mexico; Moldova; Monaco; Mongolia; Montenegro; Morocco; Mozambique; Myanmar; Namibia; Nepal;
Netherlands; New Zealand; Nicaragua; Niger; Nigeria; North Korea; North Macedonia; Northern Ireland; Norway; Oman;
Pakistan; Palestine; Panama; Papua New Guinea; Paraguay; Peru; Philippines; Poland; Portugal; Puerto Rico; Qatar;
Romania; Russia; Rwanda; Samoa; San Marino; Saudi Arabia; Scotland; Senegal; Serbia; Seychelles; Sierra Leone;
Singapore; Slovakia; Slovenia; Somalia; South Africa; South Korea; South Sudan; Spain; Sri Lanka; Sudan; Suriname;
Sweden; Switzerland; Syria; Taiwan; Tajikistan; Tanzania; Thailand; Tibet; Togo; Trinidad; Tunisia; Turkmenistan;
Uganda; Ukraine; United Arab Emirates; United Kingdom; United States; United States of America; Uruguay; Uzbekistan;
Venezuela; Vietnam; Wales; Yemen; Zambia; Zimbabwe; Deutschland; Österreich; Schweiz; Frankreich; Italien; Spanien;
España; Italia; Brasil; Polen; Polska; Türkei
"""

REGIONS = """
Alabama; Alaska; Arizona; Arkansas; California; Colorado; Connecticut; Delaware; Florida; Georgia; Hawaii; Idaho;
Illinois; Indiana; Iowa; Kansas; Kentucky; Louisiana; Maine; Maryland; Massachusetts; Michigan; Minnesota;
Mississippi; Missouri; Montana; Nebraska; Nevada; New Hampshire; New Jersey; New Mexico; New York; North Carolina;
North Dakota; Ohio; Oklahoma; Oregon; Pennsylvania; Rhode Island; South Carolina; South Dakota; Tennessee; Texas;
Utah; Vermont; Virginia; West Virginia; Wisconsin; Wyoming; Ontario; Quebec; Québec; British Columbia; Alberta;
Manitoba; Nova Scotia; Bavaria; Bayern; Saxony; Sachsen; Tuscany; Toscana; Sicily; Sardinia; Catalonia; Andalusia;
Provence; Normandy; Brittany; Cornwall; Yorkshire; Queensland; Tasmania; Bali; Sumatra; Borneo; Europe; Africa;
Asia; Antarctica; North America; South America; Latin America; Central America; Middle East; Southeast Asia;
Scandinavia; Caribbean; Balkans; Patagonia; Siberia; Silicon Valley; Manhattan; Brooklyn; Bronx; Hollywood; Rockies;
Rocky Mountains; Alps; Himalayas; Andes; Sahara; Mediterranean; Baltic Sea; Black Sea; North Sea; Everest; Mount
Everest; Kilimanjaro; Mount Fuji; Yellowstone; Yosemite; Grand Canyon; Niagara Falls; Eiffel Tower; Times Square;
Central Park; Big Ben; Colosseum; Taj Mahal; Machu Picchu; Cotswolds; Smoky Mountains; Great Barrier Reef
"""

CITIES = """
Aachen; Abu Dhabi; Accra; Addis Ababa; Adelaide; Albuquerque; Algiers; Amsterdam; Anchorage; Ankara; Antwerp;
Athens; Atlanta; Auckland; Austin; Baghdad; Baltimore; Bangalore; Bangkok; Barcelona; Basel; Beijing; Beirut;
Belfast; Belgrade; Bengaluru; Berlin; Bern; Birmingham; Bogota; Bogotá; Bologna; Bonn; Bordeaux; Boston; Boulder;
Bratislava; Bremen; Brisbane; Bristol; Brussels; Bucharest; Budapest; Buenos Aires; Cairo; Calgary; Cambridge;
Canberra; Cancun; Cancún; Cannes; Cape Town; Caracas; Cardiff; Casablanca; Charleston; Chennai; Chicago; Cincinnati;
Cleveland; Cologne; Copenhagen; Cusco; Dakar; Dallas; Damascus; Delhi; Denver; Detroit; Dhaka; Doha; Dortmund;
Dresden; Dubai; Dublin; Dubrovnik; Düsseldorf; Edinburgh; Edmonton; Florence; Frankfurt; Freiburg; Galway; Gdansk;
Geneva; Genoa; Ghent; Glasgow; Gothenburg; Granada; Graz; Guadalajara; Guangzhou; Halifax; Hamburg; Hanoi; Hanover;
Hannover; Havana; Heidelberg; Helsinki; Hiroshima; Ho Chi Minh City; Honolulu; Houston; Hyderabad; Ibiza;
Indianapolis; Innsbruck; Istanbul; Jakarta; Jerusalem; Johannesburg; Kansas City; Karachi; Karlsruhe; Kathmandu;
Kiev; Kyiv; Kingston; Köln; Krakow; Kraków; Kuala Lumpur; Kyoto; Lagos; Lahore; Las Vegas; Lausanne; Leeds; Leipzig;
Lima; Lisbon; Lisboa; Liverpool; Ljubljana; London; Los Angeles; Lucerne; Lyon; Madrid; Malaga; Málaga; Manchester;
Manila; Mannheim; Marrakech; Marseille; Medellin; Medellín; Melbourne; Memphis; Mexico City; Miami; Milan; Milano;
Milwaukee; Minneapolis; Minsk; Montevideo; Montreal; Montréal; Moscow; Mumbai; Munich; München; Nagoya; Nairobi;
Naples; Nashville; New Delhi; New Orleans; New York City; Newcastle; Nottingham; Nuremberg; Nürnberg; Oakland;
Okinawa; Orlando; Osaka; Oslo; Ottawa; Palermo; Palo Alto; Paris; Perth; Philadelphia; Phoenix; Phuket; Pittsburgh;
Porto; Portland; Potsdam; Prague; Praha; Pretoria; Quito; Reykjavik; Riga; Rio de Janeiro; Riyadh; Roma; Rome;
Rotterdam; Sacramento; Salt Lake City; Salzburg; San Antonio; San Diego; San Francisco; San Jose; San Juan;
Santiago; Santa Fe; Santa Monica; Sao Paulo; São Paulo; Sarajevo; Savannah; Seattle; Seoul; Seville; Sevilla;
Shanghai; Sheffield; Shenzhen; Sofia; St. Louis; St. Petersburg; Stamford; Stockholm; Strasbourg; Stuttgart; Sydney;
Taipei; Tallinn; Tampa; Tashkent; Tbilisi; Tehran; Tel Aviv; Tijuana; Tokyo; Toronto; Toulouse; Trieste; Tucson;
Tulsa; Tunis; Turin; Utrecht; Valencia; Vancouver; Venice; Verona; Vienna; Vilnius; Warsaw; Warszawa; Washington
D.C.; Washington DC; Wellington; Wien; Winnipeg; Yokohama; Zagreb; Zaragoza; Zurich; Zürich; Genf; Brüssel;
Kopenhagen; Rom; Mailand; Venedig; Florenz; Prag; Warschau; Moskau; Lissabon; Neapel
"""

ORGANISATIONS = """
Adidas; Airbnb; Airbus; Aldi; Alibaba; Allianz; AMD; Anthropic; Asics; AstraZeneca; Audi; BASF; Bayer; BBC; BMW;
Boeing; Bosch; British Airways; Burger King; Chevrolet; CIA; Cisco; CNN; Coca-Cola; Costco; DeepMind; Deloitte;
Deutsche Bahn; Deutsche Bank; Disney; DHL; eBay; Ericsson; Etsy; European Union; ExxonMobil; Facebook; FBI; FedEx;
Ferrari; FIFA; GitHub; GitLab; Goldman Sachs; Google; Greenpeace; Gucci; H&M; Habitat for Humanity; Harvard; HBO;
Honda; HSBC; Huawei; Hyundai; IBM; IKEA; Instagram; Intel; JPMorgan; KLM; KPMG; Lego; Lenovo; LinkedIn; Lidl;
Logitech; Lufthansa; Mastercard; McDonald's; McKinsey; Mercedes-Benz; Microsoft; MIT; Mozilla; NASA; NATO; NBA; NBC;
Nestle; Nestlé; Netflix; NFL; NHL; NHS; Nike; Nintendo; Nissan; Nokia; Novartis; Nvidia; NVIDIA; OpenAI; PayPal;
PepsiCo; Pfizer; Philips; Pixar; Porsche; PwC; Red Cross; Reebok; Reddit; Renault; Ryanair; Samsung; SAP;
Sennheiser; Siemens; Skype; SpaceX; Spotify; Stanford; Starbucks; Tesla; TikTok; Toyota; Twitter; Uber; UEFA;
UNESCO; Under Armour; UNHCR; UNICEF; United Nations; Universal Studios; Verizon; Vodafone; Volkswagen; Volvo;
Walmart; Weight Watchers; WhatsApp; Whole Foods; WWF; Xiaomi; YMCA; YouTube; Zalando
"""

ORGANISATION_WORDS = words(
    """
    university college school academy institute hospital clinic bank foundation museum company corporation
    society association agency council committee federation studios bakery pharmacy airlines airways universität
    hochschule krankenhaus stiftung verein université école universidad universidade
    """
)
"""Words that end, or with "of" begin, the name of an organisation."""

COMPANY_WORDS = words("inc inc. ltd ltd. llc corp corp. gmbh ag plc s.a. sarl bv b.v. e.v. kg co. & co")
"""What stands behind a company's name."""

PLACE_WORDS = words(
    """
    street avenue road boulevard lane square park beach island islands river lake mountain mountains valley
    canyon falls bay harbor harbour airport station bridge castle cathedral forest desert coast peninsula straße
    platz county district library theater theatre gallery resort hotel café cafe restaurant hall garden gardens
    zoo arena stadium parkway trail plaza
    """
)
"""Words that end the name of a place."""

WORK_WORDS = words("award awards prize prizes cup trophy series trilogy saga movie movies film films books novels")
"""Words after a name that make it the name of something else."""

PLACE_HEADS = words("lake mount mt mt. fort port cape isle san santa")
"""Words that begin the name of a place."""

TITLES = words(
    """
    mr mrs ms miss dr prof professor aunt auntie uncle grandma grandpa herr frau doktor tante onkel oma opa
    señor señora monsieur madame don doña sir lady coach
    """
)
"""Words before a person's name."""

NOT_NAMES = words(
    """
    a about absolutely after again ah all also always am an and any anyway anyone are as at aw awesome aww bet
    big both but by bye can catch cheers christmas congrats congratulations cool cuz dad day dear definitely did
    do does don't easter english even ever every everyone exactly excited february fall finally first for french
    friday from german glad go god good got gotcha great guess ha had halloween happy have having he hello her
    here hey hi his hmm hope how i i'd i'll i'm i've if in indeed is it it's its january july just keep keeping
    last let let's life like lol looking looks love man maybe me mom monday mum my nah never new next nice no
    nope not now october of oh ok okay on once one only oof ooh or our out please pretty quite really right same
    saturday september she should since so some sometimes sorry sounds spanish still such sunday super sure take
    talk thank thanks that that's the their them then there these they this those though thursday to today
    tomorrow tonight totally true trust tuesday unfortunately until very was way we wednesday welcome well were
    what what's when where which while who why will wish with woah woohoo wow yay yeah yep yes yesterday yo you
    you'll you're your yours yup ich du er sie es wir ihr der die das ein eine und oder aber nicht ist war hat
    haben danke hallo ja nein gut heute morgen gestern mein dein unser liebe lieber viele grüße wie wo wann
    warum
    """
)
"""Words that stand with a capital letter before or after names and belong to none."""

GERMAN_WORDS = words(
    """
    und der die das ist nicht ich wir mit ein eine auf für von den dem zu sich auch war hat habe bei noch nach
    """
)
"""Words by which German is known: there every noun has a capital letter."""

PLACES = phrases(";".join((COUNTRIES, REGIONS, CITIES)))
KNOWN_ORGANISATIONS = phrases(ORGANISATIONS)
