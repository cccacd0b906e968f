"""The families of the procedural set: one builder per family, `builder(rng) -> Recipe` in the family's own units.

Occupancy and labels are exact everywhere. Distances outside are Euclidean where the table says exact, else lower bounds
with the right sign (`ProceduralObject.exact` answers for one object). Thin: parts below 0.08 in the common frame.
Build: what the catalogue varies of the whole object besides (`Build`): width, heights, taper, belly.

| family    | varies                                                       | build   | thin           | hollow | exact |
| chair     | 4 kinds of legs, 4 backs and none, arms, cushion, round seat | w h t   | slats, rails   |        | no    |
| table     | top shape, 5 kinds of legs, apron, shelf, height             |         | shelf, apron   |        | yes   |
| lamp      | straight, bent, turned stem; cone, drum, dome shade          | w h t b | at times       | shade  | no    |
| vase      | profile, ribs, twist, handles, glaze                         | w h t b | wall, handles  | yes    | no    |
| mug       | straight, flared, rounded; handle, coffee, glaze; genus 1    | w h t b | wall, at times | yes    | no    |
| airplane  | airliner, propeller, jet; wings, tail, 2 or 4 engines        | w       | wings, tail    |        | no    |
| car       | sedan, hatchback, van, pickup; sizes, stripe                 | w h t   | roof           |        | no    |
| house     | 1 or 2 floors; gable, hip, flat; chimney, porch, tower       | w h t   | roof, posts    |        | no    |
| head      | face, eyes, 7 hair styles, cap, hat, glasses                 | w h t b | glasses, brows |        | no    |
| character | proportions, pose of arms, 4 outfits, sleeves, 6 hair styles | w h t b | clothes' edges |        | no    |
| sofa      | 1 to 3 seats, arms, back, pillows                            |         |                |        | yes   |
| tree      | broadleaf, pine, poplar; branch, fruit                       | w h t b | ground         |        | no    |
| rocket    | body, 3 or 4 fins, boosters                                  | w h t b | fins           |        | no    |
| bottle    | wine, soda, round, jar; label, cap                           | w h t b | neck           |        | no    |
"""
