"""The families of the procedural set: one builder per family, `builder(rng) -> Recipe` in the family's own units.

Occupancy and labels are exact everywhere. Distances outside are Euclidean where the table says exact, else lower bounds
with the right sign (`ProceduralObject.exact` answers for one object). Thin: parts below 0.08 in the common frame.

| family    | varies                                                       | thin              | hollow | exact       |
| chair     | 4 kinds of legs, 4 backs and none, arms, cushion, round seat | legs, slats, arms |        | yes         |
| table     | top shape, 5 kinds of legs, apron, shelf, height             | legs, top, panels |        | yes         |
| lamp      | straight, bent, turned stem; cone, drum, dome shade          | stem, shade       | shade  | yes         |
| vase      | profile, ribs, twist, handles, glaze                         | wall, handles     | yes    | if plain    |
| mug       | straight, flared, rounded; handle, coffee, glaze; genus 1    | wall, at times    | yes    | no          |
| airplane  | airliner, propeller, jet; wings, tail, 2 or 4 engines        | wings, tail       |        | no          |
| car       | sedan, hatchback, van, pickup; sizes, stripe                 | roof              |        | no          |
| house     | 1 or 2 floors; gable, hip, flat; chimney, porch, tower       | roof edge, posts  |        | unless hip  |
| head      | face, eyes, 7 hair styles, cap, hat, glasses                 | glasses, brows    |        | no          |
| character | proportions, pose of arms, 4 outfits, sleeves, 6 hair styles | clothes' edges    |        | no          |
| sofa      | 1 to 3 seats, arms, back, pillows                            |                   |        | yes         |
| tree      | broadleaf, pine, poplar; branch, fruit                       | trunk, ground     |        | if no blend |
| rocket    | body, 3 or 4 fins, boosters                                  | fins              |        | no          |
| bottle    | wine, soda, round, jar; label, cap                           |                   |        | yes         |
"""
